// The little of the package `ws` that tests use; it comes without types.
declare module 'ws' {
  import { EventEmitter } from 'node:events';
  export default class WebSocket extends EventEmitter {
    constructor(url: string, options?: { headers?: Record<string, string> });
    send(text: string): void;
    terminate(): void;
  }
}

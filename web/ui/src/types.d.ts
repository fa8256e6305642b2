// Types of imports that ship none: the Alpine CSP build, and HTML that Vite hands over as text.
declare module '@alpinejs/csp' {
  interface Alpine {
    data(name: string, factory: (...args: never[]) => object): void;
    store<T extends object>(name: string, value: T): void;
    store<T extends object>(name: string): T;
    start(): void;
    initTree(root: Element): void;
    destroyTree(root: Element): void;
  }
  const alpine: Alpine;
  export default alpine;
}

declare module '*.html?raw' {
  const text: string;
  export default text;
}

declare module '*.css' {}

/** What public/early.js did before the scripts were there. */
interface Window {
  early?: {
    socket: WebSocket;
    /** The subscription that it was opened with. */
    said: string;
    messages: MessageEvent<string>[];
  };
}

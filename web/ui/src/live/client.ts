// The live connection's hands: owns the WebSocket and the timers, and lets connection.ts decide.
// One client for the whole page; each screen says what it wants when it is shown, and the hub hears of it when that is something new.

import type { Resume, ServerMessage, Subscription, Update } from '../protocol.ts';
import { initial, step, type Connection, type Effect, type Event, type Phase } from './connection.ts';

export interface LiveHandlers {
  onUpdate(update: Update, subscription: Subscription): void;
  onServerTime(ms: number): void;
  onPhase(phase: Phase, lostAt: number | null): void;
}

/** A hidden tab is told of changes this seldom; it asks for a fresh snapshot when it is shown again. */
const HIDDEN_RATE_MS = 30_000;
const TICK_MS = 5_000;

/** What all screens but a machine's want, and early.js asks for: going from one to another costs no message. */
export const WHOLE_FLEET: Subscription = { machines: ['*'], detail: 'summary', rate_ms: 1000 };

export const ofMachine = (id: string): Subscription => ({ machines: [id], detail: 'full', rate_ms: 1000 });

export class LiveClient {
  private readonly url: string;
  private readonly handlers: LiveHandlers;
  private state: Connection = initial(Date.now());
  private socket: WebSocket | null = null;
  private retry: number | undefined;
  private wanted = WHOLE_FLEET;
  /** The subscription that this connection was sent last. */
  private said = '';

  constructor(url: string, handlers: LiveHandlers) {
    this.url = url;
    this.handlers = handlers;
  }

  /** With what the first screen will want. */
  start(wanted: Subscription): void {
    this.wanted = wanted;
    this.connect();
    setInterval(() => {
      // A hidden tab asked to be told seldom.
      if (!document.hidden) this.feed({ kind: 'tick', now: Date.now() });
    }, TICK_MS);
    document.addEventListener('visibilitychange', () => this.sendSubscription());
    window.addEventListener('online', () => this.retryNow());
  }

  subscribe(subscription: Subscription): void {
    this.wanted = subscription;
    if (this.socket !== null && this.text() === this.said) return;
    // Also while there is no connection: what we have is of another subscription then.
    this.feed({ kind: 'subscribed', resumes: false });
    this.sendSubscription();
  }

  get subscription(): Subscription {
    return this.wanted;
  }

  /** Skips the rest of the wait; does nothing while a socket is open or opening. */
  retryNow(): void {
    if (this.socket === null) this.connect();
  }

  private connect(): void {
    window.clearTimeout(this.retry);
    const early = takeEarly();
    const socket = early?.socket ?? new WebSocket(this.url);
    this.socket = socket;
    this.said = early?.said ?? '';
    socket.onopen = () => this.feed({ kind: 'opened', now: Date.now() });
    socket.onmessage = (event: MessageEvent<string>) => this.receive(event.data);
    socket.onclose = () => {
      // A socket that we already gave up must not count as a second loss.
      if (this.socket !== socket) return;
      this.socket = null;
      this.feed({ kind: 'closed', now: Date.now(), random: Math.random() });
    };
    if (socket.readyState === WebSocket.OPEN) this.feed({ kind: 'opened', now: Date.now() });
    for (const { data } of early?.messages ?? []) if (this.socket === socket) this.receive(data);
  }

  private receive(text: string): void {
    let message: ServerMessage;
    try {
      message = JSON.parse(text) as ServerMessage;
    } catch {
      // Only a broken proxy sends this; a new connection is the one thing that can help.
      this.abandon();
      return;
    }
    if (message.type === 'hello') this.handlers.onServerTime(message.server_time);
    if (message.type === 'error') console.warn('the hub refused a message:', message.detail);
    this.feed({ kind: 'message', message, now: Date.now() });
  }

  private feed(event: Event): void {
    const before = this.state.phase;
    const [state, effects] = step(this.state, event);
    this.state = state;
    for (const effect of effects) this.perform(effect, event);
    if (this.state.phase !== before) this.handlers.onPhase(this.state.phase, this.state.lostAt);
  }

  private perform(effect: Effect, event: Event): void {
    switch (effect.do) {
      case 'subscribe':
        // What was asked for early is on its way.
        if (event.kind !== 'message' || event.message.type !== 'hello' || this.text() !== this.said) this.sendSubscription(effect.resume);
        break;
      case 'apply':
        if (event.kind === 'message' && (event.message.type === 'snapshot' || event.message.type === 'delta')) {
          this.handlers.onServerTime(event.message.time);
          this.handlers.onUpdate(event.message, this.wanted);
        }
        break;
      case 'close':
        this.abandon();
        break;
      case 'connect':
        this.retry = window.setTimeout(() => this.connect(), effect.afterMs);
        break;
    }
  }

  /** Closing a dead socket can take a minute to be reported, so the loss is counted at once. */
  private abandon(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.feed({ kind: 'closed', now: Date.now(), random: Math.random() });
  }

  private sendSubscription(resume: Resume | null = null): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.said = this.text();
    this.socket.send(this.text(resume ?? undefined));
    this.feed({ kind: 'subscribed', resumes: resume !== null });
  }

  private text(resume?: Resume): string {
    const rate_ms = document.hidden ? HIDDEN_RATE_MS : this.wanted.rate_ms;
    return JSON.stringify({ type: 'subscribe', ...this.wanted, rate_ms, resume });
  }
}

/** The connection that early.js opened, once, if it is of use. */
function takeEarly(): Window['early'] {
  const { early } = window;
  delete window.early;
  return early !== undefined && early.socket.readyState <= WebSocket.OPEN ? early : undefined;
}

// The live connection's hands: owns the WebSocket and the timers, and lets connection.ts decide.
// One client for the whole page; each screen replaces the subscription when it is shown.

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

export class LiveClient {
  private readonly url: string;
  private readonly handlers: LiveHandlers;
  private state: Connection = initial(Date.now());
  private socket: WebSocket | null = null;
  private retry: number | undefined;
  private wanted: Subscription = { machines: ['*'], detail: 'summary', rate_ms: 1000 };

  constructor(url: string, handlers: LiveHandlers) {
    this.url = url;
    this.handlers = handlers;
  }

  start(): void {
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
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => this.feed({ kind: 'opened', now: Date.now() });
    socket.onmessage = (event: MessageEvent<string>) => this.receive(event.data);
    socket.onclose = () => {
      // A socket that we already gave up must not count as a second loss.
      if (this.socket !== socket) return;
      this.socket = null;
      this.feed({ kind: 'closed', now: Date.now(), random: Math.random() });
    };
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
        this.sendSubscription(effect.resume);
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
    const rate_ms = document.hidden ? HIDDEN_RATE_MS : this.wanted.rate_ms;
    this.socket.send(JSON.stringify({ type: 'subscribe', ...this.wanted, rate_ms, resume }));
    this.feed({ kind: 'subscribed', resumes: resume !== null });
  }
}

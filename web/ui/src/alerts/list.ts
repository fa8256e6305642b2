// One table of alerts: htmx asks for its rows and swaps none of them itself, this decides what is asked for and what is done with the answer.

import htmx from 'htmx.org';
import { find, sayFailed, setText } from '../dom.ts';
import { clockTime } from '../format.ts';
import { isSame, type AlertFilter } from './filter.ts';
import { counted, FIRST_ROWS, leastMs, MORE_ROWS, moreRows, moreWords, noteWords, type Answered } from './paging.ts';
import { append, renew } from './rows.ts';

interface Request {
  parameters: Record<string, string>;
}

interface Reply {
  xhr: XMLHttpRequest;
  serverResponse: string;
  shouldSwap: boolean;
  isError: boolean;
}

export interface Table {
  panel: HTMLElement;
  filter(): AlertFilter;
  now(): number;
  /** How many pass, where the hub says so. */
  onTotal?(total: number): void;
}

export class AlertList {
  private readonly table: Table;
  private readonly body: HTMLTableSectionElement;
  private readonly note: HTMLElement;
  private readonly more: HTMLButtonElement;
  /** What the hub said last, and of which filter. */
  private answered: Answered = { rows: 0, total: null, next: '' };
  private asked: AlertFilter;
  private limit = FIRST_ROWS;
  /** Of the page that is asked for next; empty: the first. */
  private cursor = '';
  /** A page below those that are there is asked for and has not come: none is put in twice. */
  private isWaiting = false;
  private isHeld = false;

  constructor(table: Table, signal: AbortSignal) {
    this.table = table;
    const { panel } = table;
    this.asked = table.filter();
    this.body = find(panel, 'tbody');
    this.note = find(panel, '[data-note]');
    this.more = find(panel, '[data-more] button');
    this.more.addEventListener('click', () => this.showMore(), { signal });
    panel.querySelector('[data-newest]')?.addEventListener('click', () => this.restart(), { signal });
    this.body.addEventListener('htmx:configRequest', (event) => this.configure((event as CustomEvent<Request>).detail), { signal });
    this.body.addEventListener('htmx:beforeSwap', (event) => this.take((event as CustomEvent<Reply>).detail), { signal });
    for (const name of ['htmx:responseError', 'htmx:sendError', 'htmx:timeout']) {
      // The rows that are shown stay: they are the newest that are known.
      this.body.addEventListener(name, () => sayFailed(this.note, 'The list could not be read.', () => this.ask()), { signal });
    }
  }

  /** Not more often than this is the list worth reading anew. */
  leastMs(): number {
    return leastMs(this.answered.rows);
  }

  /** Reads anew what is shown; a list that is held stays as it is. */
  renew(): void {
    if (!this.isHeld) htmx.trigger(this.body, 'wanted');
  }

  /** From its beginning, as if nobody had asked for more. */
  restart(): void {
    [this.limit, this.cursor, this.asked] = [FIRST_ROWS, '', this.table.filter()];
    this.hold(false);
    this.ask();
  }

  /** The filter is another one; whether it is of this list, too. */
  sift(): boolean {
    if (isSame(this.asked, this.table.filter())) return false;
    this.restart();
    return true;
  }

  /** What is under way is an answer to another question. */
  private ask(): void {
    htmx.trigger(this.body, 'htmx:abort');
    htmx.trigger(this.body, 'wanted');
  }

  private showMore(): void {
    this.cursor = this.answered.next;
    this.isWaiting = this.cursor !== '';
    this.limit = this.isWaiting ? MORE_ROWS : moreRows(this.limit);
    if (this.isWaiting) this.hold(true);
    this.ask();
  }

  private hold(isHeld: boolean): void {
    this.isHeld = isHeld;
    const held = this.table.panel.querySelector<HTMLElement>('[data-held]');
    if (held === null) return;
    held.hidden = !isHeld;
    if (isHeld) setText(find(held, 'span'), `as of ${clockTime(this.table.now())}`);
  }

  private configure({ parameters }: Request): void {
    const { text, severity } = this.asked;
    Object.assign(parameters, { limit: String(this.limit), q: text, severity, cursor: this.cursor });
  }

  private take(reply: Reply): void {
    if (reply.isError) return;
    reply.shouldSwap = false;
    if (this.cursor !== '' && !this.isWaiting) return;
    this.isWaiting = false;
    const page = this.put(reply.serverResponse);
    const total = reply.xhr.getResponseHeader('x-total-count');
    this.answered = { rows: this.body.rows.length, total: total === null ? null : Number(total), next: reply.xhr.getResponseHeader('x-next-cursor') ?? '' };
    if (this.answered.total !== null) this.table.onTotal?.(this.answered.total);
    setText(find(this.table.panel, '[data-counted]'), counted(this.answered));
    const words = moreWords(this.answered, page, this.limit);
    find<HTMLElement>(this.table.panel, '[data-more]').hidden = words === '';
    setText(this.more, words);
    this.note.replaceChildren(noteWords(this.answered, this.asked, this.body.dataset.empty ?? ''));
  }

  /** How many rows the answer has. */
  private put(html: string): number {
    const now = this.table.now();
    if (this.cursor !== '') return append(this.body, html, now);
    renew(this.body, html, now);
    return this.body.rows.length;
  }
}

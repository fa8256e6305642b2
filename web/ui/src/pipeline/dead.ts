// What was refused, and sending it again: one letter by its button, or all that wait.
//
// Kept true: an answer never takes a button away from under the finger: while one is pressed the list is not renewed.

import { api, messageOf } from '../api.ts';
import { element, find, timeNode } from '../dom.ts';
import { ago, count } from '../format.ts';
import type { DeadLetter, ResendReport } from '../protocol.ts';
import { machinePath } from '../router.ts';
import { cell, number, row } from './cells.ts';

const LISTED_MAX = 50;
/** The hub sends some in each call; a page does not go on for ever. */
const CALLS_MAX = 50;

export class DeadLetters {
  private readonly place: HTMLElement;
  private readonly now: () => number;
  private readonly signal: AbortSignal;
  private isSending = false;

  constructor(place: HTMLElement, now: () => number, signal: AbortSignal) {
    this.place = place;
    this.now = now;
    this.signal = signal;
    find(place, '[data-resend-all]').addEventListener('click', () => void this.sendAll(), { signal });
    find(place, '[data-dead]').addEventListener('click', (event) => {
      const id = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-resend]')?.dataset.resend : undefined;
      if (id !== undefined) void this.sendOne(id);
    }, { signal });
  }

  async refresh(): Promise<void> {
    if (this.isSending) return;
    try {
      const letters = await api.deadLetters(LISTED_MAX, this.signal);
      if (this.signal.aborted || this.isSending) return;
      this.say(letters.length === 0 ? 'Nothing was refused.' : '');
      this.show(letters);
    } catch (error) {
      if (!this.signal.aborted) this.say(messageOf(error));
    }
  }

  private show(letters: readonly DeadLetter[]): void {
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.resend : undefined;
    find(this.place, '[data-dead]').replaceChildren(...letters.map((letter) => letterRow(letter, this.now())));
    find<HTMLElement>(this.place, '[data-resend-all]').hidden = !letters.some(waits);
    if (focused !== undefined) this.place.querySelector<HTMLElement>(`[data-resend="${CSS.escape(focused)}"]`)?.focus();
  }

  private sendOne(id: string): Promise<void> {
    return this.send(async () => {
      const { samples } = await api.resend(id);
      return `${id} was sent again: ${counted(samples, 'sample')}.`;
    });
  }

  private sendAll(): Promise<void> {
    return this.send(async () => {
      let [letters, samples, refused] = [0, 0, 0];
      let isMore = true;
      for (let call = 0; call < CALLS_MAX && isMore; call += 1) {
        const report: ResendReport = await api.resendAll();
        letters += report.letters;
        samples += report.samples;
        refused += report.refused;
        isMore = report.more;
      }
      const rest = [refused > 0 ? `${refused} were refused again` : '', isMore ? 'there are more' : ''].filter((part) => part !== '');
      return `${counted(letters, 'letter')} sent again with ${counted(samples, 'sample')}${rest.length > 0 ? `; ${rest.join(', ')}` : ''}.`;
    });
  }

  /** One at a time; what came of it stays to be read until the next. */
  private async send(work: () => Promise<string>): Promise<void> {
    if (this.isSending) return;
    this.isSending = true;
    const state = find(this.place, '[data-resend-state]');
    state.textContent = 'Sending…';
    try {
      state.textContent = await work();
    } catch (error) {
      state.textContent = messageOf(error);
    }
    this.isSending = false;
    await this.refresh();
  }

  private say(text: string): void {
    const note = find<HTMLElement>(this.place, '[data-dead-note]');
    note.hidden = text === '';
    note.textContent = text;
  }
}

const counted = (amount: number, what: string): string => `${count(amount)} ${what}${amount === 1 ? '' : 's'}`;

/** Neither sent again nor beyond help. */
const waits = ({ resent, obstacle }: DeadLetter): boolean => resent === null && obstacle === null;

function letterRow(letter: DeadLetter, now: number): HTMLTableRowElement {
  const { id, machine, reason, source, count: samples, kept, time, detail } = letter;
  const told = element('div', {}, reason.replaceAll('_', ' '), element('span', { class: 'cell-note' }, [detail ?? '', `by ${source.replaceAll('_', ' ')}`].filter((part) => part !== '').join(', ')));
  return row(
    cell('When', timeNode(time, ago(time, now))),
    cell('Letter', element('code', { class: 'letter-id' }, id)),
    cell('Machine', element('a', { class: 'machine-link', href: machinePath(machine) }, machine)),
    cell('Reason', told),
    number('Samples', kept < samples ? `${count(samples)}, ${count(kept)} kept` : count(samples)),
    cell('Again', again(letter, now)));
}

function again({ id, resent, obstacle }: DeadLetter, now: number): Node {
  if (resent !== null) return element('span', { class: 'muted' }, timeNode(resent, `sent ${ago(resent, now)}`));
  if (obstacle !== null) return element('span', { class: 'muted' }, obstacle);
  return element('button', { type: 'button', class: 'link-button', 'data-resend': id, 'aria-label': `Send ${id} again` }, 'Send again');
}

// Silencing an alert, and ending its silence: what the buttons of the alerts table do.

import { api, messageOf } from '../api.ts';
import { author as rememberedAuthor, setAuthor } from '../author.ts';
import { find } from '../dom.ts';
import type { Labels } from '../protocol.ts';

/** What a firing alert's row says of it. */
export interface Subject {
  rule: string;
  machine: string;
  labels: Labels;
}

export function subjectOf(cell: HTMLElement): Subject {
  return { rule: cell.dataset.rule ?? '', machine: cell.dataset.machine ?? '', labels: labelsOf(cell.dataset.labels) };
}

export function labelsOf(text: string | undefined): Labels {
  try {
    return JSON.parse(text ?? '{}') as Labels;
  } catch {
    return {};
  }
}

/** What it is about, for a person. */
export function nameOf({ rule, machine, labels }: Subject): string {
  return [`${rule} on ${machine}`, ...Object.values(labels)].join(' \u00b7 ');
}

/** To silence is to be left in peace; to acknowledge says that somebody is at it, for as long as that may take. */
export type Why = 'silence' | 'acknowledge';

const WORDS: Record<Why, { title: string; button: string; seconds: string; comment: string }> = {
  silence: { title: 'Silence this alert', button: 'Silence', seconds: '3600', comment: '' },
  acknowledge: { title: 'Acknowledge this alert', button: 'Acknowledge', seconds: '14400', comment: 'seen, being worked on' },
};

/** The dialog of the screen; `done` is called when a silence was made. */
export function silenceDialog(dialog: HTMLDialogElement, done: () => void, signal: AbortSignal): (subject: Subject, why?: Why) => void {
  const form = find<HTMLFormElement>(dialog, 'form');
  const note = find(dialog, '[data-fault]');
  const author = find<HTMLInputElement>(dialog, '[name="author"]');
  const send = find<HTMLButtonElement>(dialog, '[type="submit"]');
  let subject: Subject | undefined;
  find(dialog, '[data-cancel]').addEventListener('click', () => dialog.close(), { signal });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (subject === undefined) return;
    const fields = new FormData(form);
    const text = (name: string): string => String(fields.get(name) ?? '').trim();
    const matchers = { rules: [subject.rule], machines: [subject.machine], labels: subject.labels };
    setAuthor(text('author'));
    send.disabled = true;
    api.silence({ matchers, for_s: Number(text('for_s')), author: text('author'), comment: text('comment') })
      .then(() => {
        dialog.close();
        done();
      })
      .catch((error: unknown) => {
        note.textContent = messageOf(error);
      })
      .finally(() => {
        send.disabled = false;
      });
  }, { signal });
  const named = (name: string): HTMLInputElement | HTMLSelectElement => find(dialog, `[name="${name}"]`);
  return (chosen, why = 'silence') => {
    const { title, button, seconds, comment } = WORDS[why];
    subject = chosen;
    form.reset();
    find(dialog, 'h2').textContent = title;
    send.textContent = button;
    [named('for_s').value, named('comment').value] = [seconds, comment];
    author.value = rememberedAuthor();
    note.textContent = '';
    find(dialog, '[data-subject]').textContent = nameOf(chosen);
    dialog.showModal();
  };
}

// The command palette: one field that leads to every screen and machine and does what the keys do. Loaded when it is first asked for.

import { element } from '../dom.ts';
import type { Machine } from '../protocol.ts';
import { commandsOf, found, type Command, type CommandActions } from './commands.ts';
import './palette.css';

type Open = (commands: readonly Command[]) => void;

/** Made once; there is one palette. */
let open: Open | null = null;

/** With the machines that are known now. */
export function openPalette(machines: Iterable<Machine>, actions: CommandActions): void {
  open ??= build();
  open(commandsOf(machines, actions));
}

function build(): Open {
  const input = element('input', { id: 'palette-text', type: 'text', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'palette-list', 'aria-autocomplete': 'list', 'aria-label': 'Go to or do', autocomplete: 'off', spellcheck: 'false', placeholder: 'Go to a machine or screen, or do something' });
  const list = element('ul', { id: 'palette-list', role: 'listbox', 'aria-label': 'What fits' });
  const none = element('p', { class: 'palette-none', role: 'status' });
  const dialog = element('dialog', { class: 'dialog palette', 'aria-label': 'Commands' }, input, list, none);
  let all: readonly Command[] = [];
  let shown: Command[] = [];
  let chosen = 0;
  const choose = (index: number): void => {
    chosen = shown.length === 0 ? 0 : (index + shown.length) % shown.length;
    [...list.children].forEach((item, at) => item.setAttribute('aria-selected', String(at === chosen)));
    if (shown.length === 0) input.removeAttribute('aria-activedescendant');
    else input.setAttribute('aria-activedescendant', `palette-${chosen}`);
    list.children[chosen]?.scrollIntoView({ block: 'nearest' });
  };
  const show = (): void => {
    shown = found(all, input.value);
    list.replaceChildren(...shown.map(({ label, note }, index) => element('li', { id: `palette-${index}`, role: 'option', 'aria-selected': 'false' }, element('span', {}, label), element('span', { class: 'muted' }, note))));
    list.hidden = shown.length === 0;
    input.setAttribute('aria-expanded', String(!list.hidden));
    none.textContent = list.hidden ? 'Nothing is called so.' : '';
    choose(0);
  };
  const run = (index: number): void => {
    dialog.close();
    shown[index]?.run();
  };
  input.addEventListener('input', show);
  input.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') choose(chosen + 1);
    else if (event.key === 'ArrowUp') choose(chosen - 1);
    else if (event.key === 'Enter') run(chosen);
    else return;
    event.preventDefault();
  });
  list.addEventListener('click', (event) => {
    const item = event.target instanceof Element ? event.target.closest('li') : null;
    if (item !== null) run([...list.children].indexOf(item));
  });
  // Beside the box is the dialog itself.
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  return (commands) => {
    all = commands;
    input.value = '';
    show();
    if (!dialog.open) dialog.showModal();
  };
}

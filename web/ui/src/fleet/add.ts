// How a machine is added: the command for its collector, made as one types its name and tags, and a line that says when it has come.
// Loaded when it is asked for, or when there is no machine yet.

import { api } from '../api.ts';
import { element, setText } from '../dom.ts';
import type { FleetStore } from '../live/store.ts';
import { machinePath } from '../router.ts';
import './add.css';
import { commandOf, portOf, reachOf, WAYS, type Way } from './adding.ts';

export interface AddMachine {
  node: HTMLElement;
  stop(): void;
}

export function addMachine(store: FleetStore): AddMachine {
  const abort = new AbortController();
  const field = (label: string, id: string, placeholder: string): HTMLInputElement => element('input', { id, 'aria-label': label, placeholder, maxlength: '128', autocomplete: 'off', spellcheck: 'false' });
  const [name, tags] = [field('Name', 'add-name', 'its name, db-1'), field('Tags', 'add-tags', 'tags, role=db,site=eu')];
  const ways = element('div', { class: 'segmented', role: 'group', 'aria-label': 'How it is run' });
  const code = element('code', {});
  const copy = element('button', { type: 'button', class: 'button' }, 'Copy');
  const reach = element('p', { class: 'add-reach' });
  const line = element('p', { class: 'add-line', role: 'status' }, 'Waiting for a new machine…');
  let [way, port, address] = [WAYS[0]?.id ?? 'program', 50051, ''];
  const fields = element('div', { class: 'add-fields' }, name, tags);
  const show = (): void => {
    fields.hidden = way === 'demo';
    setText(code, commandOf(way, { origin: location.origin, host: location.hostname, port, name: name.value.trim(), tags: tags.value.trim() }));
    setText(reach, reachOf(address));
    for (const button of ways.children) button.setAttribute('aria-pressed', String(button.getAttribute('data-way') === way));
    copy.textContent = 'Copy';
  };
  ways.append(...WAYS.map(({ id, label }) => {
    const button = element('button', { type: 'button', 'data-way': id }, label);
    button.addEventListener('click', () => {
      way = id as Way;
      show();
    });
    return button;
  }));
  for (const input of [name, tags]) input.addEventListener('input', show);
  copy.addEventListener('click', () => {
    navigator.clipboard.writeText(code.textContent ?? '').then(
      () => (copy.textContent = 'Copied'),
      () => (copy.textContent = 'Select and copy by hand'),
    );
  });
  api.config(abort.signal).then(({ settings }) => {
    address = settings.find(({ key }) => key === 'grpc.address')?.value ?? '';
    port = portOf(address) ?? port;
    show();
  }).catch(() => {
    // The usual port is right nearly always.
  });
  const known = new Set(store.machines.keys());
  const stop = store.listen(() => {
    const came = [...store.machines.keys()].filter((id) => !known.has(id));
    for (const id of came) known.add(id);
    const last = came.at(-1);
    if (last !== undefined) line.replaceChildren(element('a', { class: 'machine-link', href: machinePath(last) }, last), ' is here.');
  });
  show();
  const node = element('div', { class: 'add-machine' }, fields, ways, element('div', { class: 'command' }, code, copy), reach, line);
  return { node, stop: () => (abort.abort(), stop()) };
}

/** The same, over the fleet. */
export function openAddMachine(store: FleetStore): void {
  const { node, stop } = addMachine(store);
  const close = element('button', { type: 'submit', class: 'button is-quiet' }, 'Close');
  const dialog = element('dialog', { class: 'dialog add-dialog', 'aria-labelledby': 'add-title' }, element('h2', { id: 'add-title' }, 'Add a machine'), node, element('form', { method: 'dialog' }, close));
  dialog.addEventListener('close', () => {
    stop();
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
}

// What may be asked of the machine's collector, as a menu: the harmless list of the API. The collector has the last word.

import { api, messageOf } from '../api.ts';
import { element } from '../dom.ts';

const COMMANDS: readonly [command: string, words: string, said: string][] = [
  ['focus', 'Measure each second for a minute', 'It measures each second now.'],
  ['collect_now', 'Measure now', 'It measures now.'],
  ['pause', 'Pause', 'It pauses: nothing comes until it resumes.'],
  ['resume', 'Resume', 'It goes on.'],
];

export function collectorMenu(id: string): Node[] {
  const note = element('p', { class: 'muted', role: 'status' });
  const ask = async (command: string, said: string): Promise<void> => {
    note.textContent = '';
    note.textContent = await api.command(id, command).then(() => `Asked. ${said}`, messageOf);
  };
  const choices = COMMANDS.map(([command, words, said]) => {
    const choice = element('button', { type: 'button' }, words);
    choice.addEventListener('click', () => void ask(command, said));
    return choice;
  });
  return [
    element('button', { type: 'button', class: 'menu-button', popovertarget: 'collector' }, 'Collector'),
    element('div', { id: 'collector', class: 'menu-list', popover: '', role: 'group', 'aria-label': 'Ask the collector' }, ...choices, note),
  ];
}

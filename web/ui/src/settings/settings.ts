// Settings: how this reader wants numbers, times and rows, kept in the browser; and what the hub runs with, to read.

import './settings.css';
import template from './settings.html?raw';
import { api, messageOf } from '../api.ts';
import { author, setAuthor } from '../author.ts';
import { element, find, sayFailed } from '../dom.ts';
import { bytes, celsius, dateTime, network } from '../format.ts';
import { SHARES } from '../levels.ts';
import { CHOICES, preferences, setPreferences, type Preferences } from '../preferences.ts';
import type { Setting } from '../protocol.ts';
import { WHOLE_FLEET } from '../live/client.ts';
import type { Context, Screen } from '../screen.ts';
import { themeChoice, type ThemeChoice } from '../shell/theme.ts';


/** `85 / 95 %`: warning, critical. */
function words(choice: Preferences['levels']): string {
  const [warn, critical] = SHARES[choice];
  return `${warn * 100} / ${critical * 100} %`;
}

const WORDS: { [Name in keyof Preferences]: Record<Preferences[Name], string> } = {
  density: { comfortable: 'Comfortable', compact: 'Compact' },
  zone: { local: 'Local', utc: 'UTC' },
  bytes: { iec: 'KiB, MiB', si: 'kB, MB' },
  network: { bytes: 'Bytes', bits: 'Bits' },
  temperature: { celsius: '°C', fahrenheit: '°F' },
  levels: { early: words('early'), usual: words('usual'), late: words('late') },
};
const THEMES: Record<ThemeChoice, string> = { system: 'System', dark: 'Dark', light: 'Light' };

export interface SettingsActions {
  chooseTheme(choice: ThemeChoice): void;
}

export function mountSettings(place: HTMLElement, context: Context, actions: SettingsActions): Screen {
  place.innerHTML = template;
  const abort = new AbortController();
  const { signal } = abort;
  for (const name of Object.keys(CHOICES) as (keyof Preferences)[]) {
    choice(find(place, `[data-choice="${name}"]`), WORDS[name] as Record<string, string>, () => preferences()[name], (value) => {
      setPreferences({ [name]: value });
      sample();
    });
  }
  choice(find(place, '[data-choice="theme"]'), THEMES, themeChoice, (value) => actions.chooseTheme(value as ThemeChoice));
  const name = find<HTMLInputElement>(place, '#settings-author');
  name.value = author();
  name.addEventListener('change', () => setAuthor(name.value), { signal });
  find(place, '[data-yours]').addEventListener('submit', (event) => event.preventDefault(), { signal });
  const sample = (): void => {
    find(place, '[data-sample]').textContent = `${dateTime(context.now())}, ${bytes(1_610_612_736)}, ${network(12_500_000)}, ${celsius(61)}`;
  };
  sample();
  const search = find<HTMLInputElement>(place, '#settings-find');
  let settings: Setting[] | null = null;
  const show = (): void => {
    if (settings === null) return;
    const wanted = search.value.trim().toLowerCase();
    const found = settings.filter(({ key, value }) => key.toLowerCase().includes(wanted) || value.toLowerCase().includes(wanted));
    find(place, 'tbody').replaceChildren(...found.map(row));
    const note = find<HTMLElement>(place, '[data-note]');
    note.hidden = found.length > 0;
    note.textContent = settings.length === 0 ? 'The hub tells of none.' : 'No setting matches.';
  };
  search.addEventListener('input', show, { signal });
  const load = async (): Promise<void> => {
    try {
      const config = await api.config(signal);
      settings = config.settings;
      find(place, '[data-version]').textContent = `version ${config.version}`;
      find<HTMLElement>(place, '[data-loading]').hidden = true;
      show();
    } catch (error) {
      if (!signal.aborted) fail(place, messageOf(error), load);
    }
  };
  void load();
  context.live.subscribe(WHOLE_FLEET);
  return { title: 'Settings', onTheme: () => press(find(place, '[data-choice="theme"]'), themeChoice()), leave: () => abort.abort() };
}

function choice(place: HTMLElement, words: Record<string, string>, current: () => string, pick: (value: string) => void): void {
  const buttons = Object.entries(words).map(([value, word]) => {
    const button = element('button', { type: 'button', 'data-value': value }, word);
    button.addEventListener('click', () => {
      pick(value);
      press(place, current());
    });
    return button;
  });
  place.replaceChildren(...buttons);
  press(place, current());
}

function press(place: HTMLElement, value: string): void {
  for (const button of place.querySelectorAll<HTMLElement>('[data-value]')) button.setAttribute('aria-pressed', String(button.dataset.value === value));
}

function row({ key, value, source }: Setting): HTMLTableRowElement {
  return element('tr', source === 'default' ? {} : { class: 'is-set' }, element('th', { scope: 'row', 'data-label': 'Setting' }, element('span', {}, key)), element('td', { 'data-label': 'Value' }, value === '' ? element('span', { class: 'is-unset' }, 'not set') : element('span', {}, value)), element('td', { 'data-label': 'From' }, element('span', {}, source)));
}

function fail(place: HTMLElement, text: string, load: () => Promise<void>): void {
  find<HTMLElement>(place, '[data-loading]').hidden = true;
  sayFailed(find(place, '[data-note]'), `The configuration could not be read. ${text}`, () => void load());
}

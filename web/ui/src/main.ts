// The page's start: the store, the live connection, the shell, and the screen that the address names.

import Alpine from '@alpinejs/csp';
import './styles/tokens.css';
import './styles/base.css';
import './styles/components.css';
import { isActive } from './alerts/present.ts';
import { LiveClient, ofMachine, WHOLE_FLEET } from './live/client.ts';
import { FleetStore } from './live/store.ts';
import { navigate, parse, startRouter, type Route } from './router.ts';
import type { Context, Screen } from './screen.ts';
import { startKeys } from './shell/keys.ts';
import { Banner, createShell } from './shell/shell.ts';
import { followSystem, setThemeChoice, type ThemeChoice } from './shell/theme.ts';
import { find } from './dom.ts';
import { showDensity } from './preferences.ts';
import { mountFleet, registerFleet } from './fleet/fleet.ts';

const store = new FleetStore();
let clockOffsetMs = 0;
let screen: Screen | null = null;
let screenKey = '';
/** How far each address was scrolled when it was left. */
const scrolledTo = new Map<string, number>();
/** How long a screen may take to grow to where it was scrolled. */
const SCROLL_PATIENCE_MS = 10_000;
/** A long walk from machine to machine must not fill the memory. */
const SCROLLS_MAX = 100;

const shell = createShell({
  setPaused: (paused) => {
    store.setPaused(paused);
    if (!paused) screen?.onResume?.();
  },
  retry: () => live.retryNow(),
  onTheme: () => screen?.onTheme?.(),
  onSearch: (text) => document.dispatchEvent(new CustomEvent('search-changed', { detail: text })),
});
const banner = new Banner(shell);

/** So long the fleet waits to be shown with its machines at once; then it shows that it waits. */
const FIRST_WAIT_MS = 100;
let begin = (): void => {
  begin = () => {};
  store.publish();
  startRouter((isBack) => void render(isBack));
};

const live = new LiveClient(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`, {
  onUpdate: (update, subscription) => {
    store.apply(update, subscription);
    begin();
  },
  onServerTime: (ms) => {
    clockOffsetMs = ms - Date.now();
  },
  onPhase: (phase, lostAt) => banner.phase(phase, lostAt),
});

const context: Context = { store, live, now: () => Date.now() + clockOffsetMs, isPaused: () => shell.paused };

store.listen((change) => {
  shell.degraded = store.hub?.degraded ?? [];
  if (change.alerts) shell.alertCount = [...store.alerts.values()].filter(isActive).length;
});

/** The larger screens are separate bundles: the fleet shows without waiting for the chart library. */
async function load(route: Route): Promise<(place: HTMLElement) => Screen> {
  switch (route.screen) {
    case 'fleet': return (place) => mountFleet(place, context);
    case 'machine': {
      const { mountMachine } = await import('./machine/machine.ts');
      return (place) => mountMachine(place, context, route.id);
    }
    case 'alerts': {
      const { mountAlerts } = await import('./alerts/alerts.ts');
      return (place) => mountAlerts(place, context);
    }
    case 'rules': {
      const { mountRules } = await import('./rules/rules.ts');
      return (place) => mountRules(place, context);
    }
    case 'rule': {
      const { mountEditor } = await import('./rules/editor.ts');
      return (place) => mountEditor(place, context, route.name);
    }
    case 'audit': {
      const { mountAudit } = await import('./audit/audit.ts');
      return (place) => mountAudit(place, context);
    }
    case 'settings': {
      const { mountSettings } = await import('./settings/settings.ts');
      return (place) => mountSettings(place, context, { chooseTheme });
    }
    case 'compare': {
      const { mountCompare } = await import('./compare/compare.ts');
      return (place) => mountCompare(place, context);
    }
    case 'pipeline': {
      const { mountPipeline } = await import('./pipeline/pipeline.ts');
      return (place) => mountPipeline(place, context);
    }
    case 'missing': return missing;
  }
}

function chooseTheme(choice: ThemeChoice): void {
  shell.theme = setThemeChoice(choice);
  screen?.onTheme?.();
}

function missing(place: HTMLElement): Screen {
  place.replaceChildren(find<HTMLTemplateElement>(document, '#screen-missing').content.cloneNode(true));
  return { title: 'Not found', leave: () => {} };
}

async function render(isBack: boolean): Promise<void> {
  const route = parse(location.pathname);
  const key = location.pathname;
  if (key === screenKey) {
    screen?.onQuery?.(new URLSearchParams(location.search));
    return;
  }
  const isFirst = screenKey === '';
  if (scrolledTo.size >= SCROLLS_MAX) scrolledTo.clear();
  if (!isFirst) scrolledTo.set(screenKey, window.scrollY);
  screenKey = key;
  screen?.leave();
  screen = null;
  const place = find<HTMLElement>(document, '#screen');
  // One rule is part of the rules.
  shell.screen = route.screen === 'rule' ? 'rules' : route.screen;
  if (route.screen !== 'fleet') shell.search = '';
  try {
    const mount = await load(route);
    // A faster click may have led elsewhere while the bundle was loading.
    if (screenKey !== key) return;
    screen = mount(place);
    document.title = `${screen.title} · sysmonstm`;
    // A reader of the page by ear is led to the new screen; the first one is read from the top anyway.
    if (!isFirst) place.focus({ preventScroll: true });
    const top = isBack ? (scrolledTo.get(key) ?? 0) : 0;
    // The fleet's rows are placed in this frame, before this; on a busy machine some of the page comes later.
    if (!isFirst) requestAnimationFrame(() => scrollBack(key, top));
  } catch (error) {
    console.error(error);
    place.replaceChildren(find<HTMLTemplateElement>(document, '#screen-failed').content.cloneNode(true));
  }
}

/** Scrolls until the page is high enough to be there; whoever touches it meanwhile has the page. */
function scrollBack(key: string, top: number): void {
  const until = performance.now() + SCROLL_PATIENCE_MS;
  const touched = new AbortController();
  const { signal } = touched;
  for (const type of ['wheel', 'touchstart', 'pointerdown', 'keydown']) window.addEventListener(type, () => touched.abort(), { signal, passive: true });
  const step = (): void => {
    if (signal.aborted || screenKey !== key) return touched.abort();
    window.scrollTo(0, top);
    if (window.scrollY >= top - 1 || performance.now() > until) touched.abort();
    else requestAnimationFrame(step);
  };
  step();
}

function focusSearch(): void {
  const input = find<HTMLInputElement>(document, '#search');
  input.focus();
  input.select();
}

showDensity();
registerFleet(context);
Alpine.start();
const opened = parse(location.pathname);
live.start(opened.screen === 'machine' ? ofMachine(opened.id) : WHOLE_FLEET);
if (opened.screen === 'fleet') setTimeout(() => begin(), FIRST_WAIT_MS);
else begin();
followSystem((theme) => {
  shell.theme = theme;
  screen?.onTheme?.();
});
const deeds = { theme: () => shell.toggleTheme(), pause: () => shell.togglePause(), help: () => shell.openHelp(), go: (path: string) => navigate(path) };

async function openCommands(): Promise<void> {
  const { openPalette } = await import('./shell/palette.ts');
  openPalette(store.machines.values(), { ...deeds, add: () => void import('./fleet/add.ts').then(({ openAddMachine }) => openAddMachine(store)) });
}

startKeys({
  ...deeds,
  search: focusSearch,
  commands: () => void openCommands(),
  screen: (key) => screen?.onKey?.(key) ?? false,
});

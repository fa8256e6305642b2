// Which screen an address shows. The server answers every one of them with the same page.

/** Screens with a fixed address. */
const PLAIN = { '/': 'fleet', '/index.html': 'fleet', '/alerts': 'alerts', '/rules': 'rules', '/pipeline': 'pipeline', '/compare': 'compare', '/audit': 'audit', '/settings': 'settings' } as const;

export type Route = { screen: (typeof PLAIN)[keyof typeof PLAIN] } | { screen: 'machine'; id: string } | { screen: 'rule'; name: string } | { screen: 'missing' };

export function parse(pathname: string): Route {
  const plain = Object.entries(PLAIN).find(([path]) => path === pathname)?.[1];
  if (plain !== undefined) return { screen: plain };
  const [, noun, named] = /^\/(machines|rules)\/([^/]+)$/.exec(pathname) ?? [];
  if (named === undefined) return { screen: 'missing' };
  try {
    return noun === 'machines' ? { screen: 'machine', id: decodeURIComponent(named) } : { screen: 'rule', name: decodeURIComponent(named) };
  } catch {
    // A broken percent code names nothing.
    return { screen: 'missing' };
  }
}

export const machinePath = (id: string): string => `/machines/${encodeURIComponent(id)}`;

export const rulePath = (name: string): string => `/rules/${encodeURIComponent(name)}`;

type Render = (isBack: boolean) => void;

let onNavigate: Render = () => {};

/** `render` is told whether the reader went back (or forward), and so expects the page as it was left. */
export function startRouter(render: Render): void {
  onNavigate = render;
  // Where a screen was scrolled to is put back by us, once its rows are there.
  history.scrollRestoration = 'manual';
  window.addEventListener('popstate', () => render(true));
  document.addEventListener('click', followLink);
  render(false);
}

export function navigate(path: string): void {
  if (path === location.pathname + location.search) return;
  history.pushState(null, '', path);
  onNavigate(false);
}

/** Rewrites the query of the address that is shown, without a new screen. */
export function replaceQuery(query: string): void {
  history.replaceState(history.state, '', location.pathname + query);
}

/** Plain clicks on our own links stay in the page; new tabs, downloads and other sites go the browser's way. */
function followLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  if (link === null || link.origin !== location.origin || link.target !== '' || link.hasAttribute('download')) return;
  if (link.hash !== '' && link.pathname === location.pathname) return;
  if (parse(link.pathname).screen === 'missing') return;
  event.preventDefault();
  navigate(link.pathname + link.search);
}

// A click of the mouse or a long press of the finger pins the time under it, and the next one lets it go. A drag is neither.

import { isPinned, pin } from './crosshair.ts';

const LONG_MS = 500;
/** A hand is never quite still. */
const STILL_PX = 6;

/** `timeAt` gives the time, in seconds, at a place in the window; null beside the data. */
export function followPresses(node: HTMLElement, timeAt: (clientX: number) => number | null): void {
  let start: PointerEvent | null = null;
  let isFinger = false;
  let timer: number | undefined;
  const forget = (): void => {
    window.clearTimeout(timer);
    start = null;
  };
  const press = (clientX: number): void => {
    const at = timeAt(clientX);
    if (isPinned()) pin(null);
    else if (at !== null) pin(at);
  };
  node.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || event.shiftKey) return;
    start = event;
    isFinger = event.pointerType !== 'mouse';
    if (!isFinger) return;
    timer = window.setTimeout(() => {
      forget();
      press(event.clientX);
    }, LONG_MS);
  });
  node.addEventListener('pointermove', (event) => {
    if (start === null || Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) < STILL_PX) return;
    forget();
    // What begins is a zoom, and its selection follows the pointer.
    if (!isFinger) pin(null);
  });
  node.addEventListener('pointerup', (event) => {
    if (start !== null && !isFinger) press(event.clientX);
    forget();
  });
  for (const type of ['pointercancel', 'pointerleave'] as const) node.addEventListener(type, forget);
  // A long press asks for no menu here.
  node.addEventListener('contextmenu', (event) => {
    if (isFinger) event.preventDefault();
  });
}

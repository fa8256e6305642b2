// The time under the pointer, told to everything on the page that follows it: charts, heat strip, process lists. A pinned time stays
// until it is let go, wherever the pointer is.

type Listener = (atSeconds: number | null) => void;

const listeners = new Set<Listener>();
let isHeld = false;

export function onCrosshair(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const isPinned = (): boolean => isHeld;

/** The pointer is there, or has left; a pinned time stays as it is. */
export function moveCrosshair(atSeconds: number | null): void {
  if (!isHeld) tell(atSeconds);
}

/** Null lets it go. */
export function pin(atSeconds: number | null): void {
  isHeld = atSeconds !== null;
  tell(atSeconds);
}

function tell(atSeconds: number | null): void {
  for (const listener of listeners) listener(atSeconds);
}

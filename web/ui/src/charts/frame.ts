// The frame that all charts share, in pixels, so that one time stands at one place down the whole page.

export const FRAME = { left: 68, right: 22, top: 8, bottom: 28 } as const;

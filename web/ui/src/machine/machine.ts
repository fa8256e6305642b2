export const mountMachine = (): never => { throw new Error('x'); };

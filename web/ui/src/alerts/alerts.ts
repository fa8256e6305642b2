export const mountAlerts = (): never => { throw new Error('x'); };

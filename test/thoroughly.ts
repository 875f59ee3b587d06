/**
 * How much a test tries, of what takes its time: sweeps over every point, many random runs. With REMIT_THOROUGH=1 all of it, otherwise
 * what finds a fault in `npm test` within minutes.
 */
export const thoroughly = <T>(all: T, usually: T): T => (process.env['REMIT_THOROUGH'] === '1' ? all : usually);

import { freePortSource } from '../src/dev/free-port-source.ts';

/** Test processes of a run that have ports of their own, and how many each has: more than it asks for. */
const [PROCESSES, PORTS_OF_EACH] = [8, 1_500] as const;

const place = Number(process.env['JEST_WORKER_ID'] ?? 1) % PROCESSES;

/**
 * A free port of loopback. None is given twice by one process, and the processes of a test run have different ones: a port is free until the
 * part listens that it was chosen for, which on a loaded machine takes 20 s.
 */
export const freePort = freePortSource(Math.floor((place + Math.random() / 2) * PORTS_OF_EACH));

/** So many free ports. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

import { freePortSource } from '../src/dev/free-port-source.ts';

/** A free port of loopback. None is given twice by one process, and processes begin at different ones. */
export const freePort = freePortSource(Math.floor(Math.random() * 12_000));

/** So many free ports. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

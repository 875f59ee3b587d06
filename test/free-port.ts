import { createServer } from 'node:net';

/**
 * Below the ephemeral ports: between the choice and the use of such a port, no connection that anybody opens can take it as its own end,
 * which a loaded machine does within seconds.
 */
const PORTS = { first: 20_000, count: 12_000 };
let next = Math.floor(Math.random() * PORTS.count);

/** A free port of loopback. None is given twice by one process, and processes begin at different ones. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < PORTS.count; tried += 1) {
    const port = PORTS.first + next;
    next = (next + 1) % PORTS.count;
    if (await isFree(port)) return port;
  }
  throw new Error('no port of loopback is free');
}

/** So many free ports. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const isBound = await new Promise<boolean>((settle) => {
    server.once('error', () => settle(false)).listen(port, '127.0.0.1', () => settle(true));
  });
  if (isBound) await new Promise<void>((done) => server.close(() => done()));
  return isBound;
}

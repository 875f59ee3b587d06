import { createServer } from 'node:net';

/**
 * Below the ephemeral ports, so that the kernel does not give a chosen port to an outgoing connection before it is used. On a loaded
 * machine that happens within seconds.
 */
const PORTS = { first: 20_000, count: 12_000 } as const;

/**
 * A source of free ports of loopback. It gives no port twice before it has tried all 12,000, also to concurrent calls; a call
 * rejects if all are taken.
 * @param start any whole number from 0 on; random, so that processes begin at different ports
 */
export function freePortSource(start: number): () => Promise<number> {
  let next = start % PORTS.count;
  return async () => {
    for (let tried = 0; tried < PORTS.count; tried += 1) {
      const port = PORTS.first + next;
      next = (next + 1) % PORTS.count;
      if (await isFree(port)) return port;
    }
    throw new Error('no port of loopback is free');
  };
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const isBound = await new Promise<boolean>((settle) => {
    server.once('error', () => settle(false)).listen(port, '127.0.0.1', () => settle(true));
  });
  if (isBound) await new Promise<void>((done) => server.close(() => done()));
  return isBound;
}

import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { postgresTargetFrom } from '../../../../src/core/config/postgres-url.ts';
import { Database } from '../../../../src/authority/state/postgres/database.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';

const message = (type: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
const ints = (...parts: readonly (readonly [value: number, bytes: 2 | 4])[]): Buffer =>
  Buffer.concat(
    parts.map(([value, bytes]) => {
      const of = Buffer.alloc(bytes);
      of.writeIntBE(value, 0, bytes);
      return of;
    }),
  );
const field = (name: string, oid: number): Buffer =>
  Buffer.concat([Buffer.from(`${name}\0`), ints([0, 4], [0, 2], [oid, 4], [-1, 2], [-1, 4], [0, 2])]);
const value = (text: string | null): Buffer =>
  text === null ? ints([-1, 4]) : Buffer.concat([ints([text.length, 4]), Buffer.from(text)]);

const READY = message('Z', Buffer.from('I'));
const WELCOME = Buffer.concat([message('R', ints([0, 4])), READY]);
/** The answer of a primary to the question for its role. */
const PRIMARY = Buffer.concat([
  message('T', Buffer.concat([ints([3, 2]), field('standby', 16), field('timeline', 25), field('received', 23)])),
  message('D', Buffer.concat([ints([3, 2]), value('f'), value('00000001'), value(null)])),
  message('C', Buffer.from('SELECT 1\0')),
  READY,
]);

/** Serves as a primary, and loses each connection on which something else is asked. */
function serve(socket: Socket): void {
  socket.on('error', () => undefined);
  let isNew = true;
  socket.on('data', (bytes) => {
    if (isNew) socket.write(WELCOME);
    else if (bytes.includes('pg_is_in_recovery')) socket.write(PRIMARY);
    else socket.destroy();
    isNew = false;
  });
}

describe('Database', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  const opened = async (): Promise<Database> => {
    const server = createServer(serve);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const target = postgresTargetFrom(`postgres://app@127.0.0.1:${port}/app?sslmode=disable`);
    if (isProblem(target)) throw new Error(target.problem);
    return new Database({ target, hasQuorum: false });
  };

  it('fails a read whose connection is lost, and the process goes on', async () => {
    const database = await opened();
    expect(await database.read('SELECT 1')).toMatchObject({ code: 'busy' });
    await database.close();
  });

  it('survives a connection that is lost while its server is examined', async () => {
    const database = await opened();
    database.guardedBy({ lost: null, examine: async (client) => void (await client.query('SELECT 1')) });
    expect(await database.read('SELECT 1')).toMatchObject({ code: 'busy' });
    await database.close();
  });
});

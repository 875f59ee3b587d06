import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from '@jest/globals';
import { askedReceipt } from '../../../src/cli/task/asked-receipt.ts';

it('`askedReceipt` says that another server answers: the change is committed all the same', async () => {
  const server = createServer((_, response) => response.end('<html>'));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await askedReceipt({ admin, leaseMs: 1_000 }, 'root')).toEqual({
    problem: `\`${admin}\` did not answer with a JSON object: is it the admin address of Remit?`,
  });
  server.close();
});

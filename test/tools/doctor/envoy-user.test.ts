import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { adminAddressFrom } from '../../../src/tools/doctor/collect/admin-address.ts';
import { envoyUserOf } from '../../../src/tools/doctor/collect/envoy-user.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';

const userAt = (written: string): number | undefined => {
  const address = adminAddressFrom(written);
  return isProblem(address) ? undefined : envoyUserOf(address)?.uid;
};

describe('envoyUserOf', () => {
  it('takes the owner of the listening port or of the socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'remit-user-'));
    const [tcp, unix] = [createServer().listen(0, '127.0.0.1'), createServer().listen(join(folder, 'admin.sock'))];
    try {
      for (const server of [tcp, unix]) if (!server.listening) await once(server, 'listening');
      const { port } = tcp.address() as AddressInfo;
      expect(userAt(`127.0.0.1:${port}`)).toBe(process.getuid?.());
      expect(userAt(`unix:${join(folder, 'admin.sock')}`)).toBe(process.getuid?.());
    } finally {
      tcp.close();
      unix.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('knows none if nothing listens', () => {
    expect(userAt('127.0.0.1:1')).toBeUndefined();
    expect(userAt('unix:/nonexistent/admin.sock')).toBeUndefined();
  });
});

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
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

  it.each([
    ['127.0.0.1', true],
    ['localhost', true],
    ['0.0.0.0', true],
    ['[::1]', true],
    // Of documentation alone: no machine has it. @see RFC 5737, RFC 3849
    ['192.0.2.1', false],
    ['[2001:db8::1]', false],
    ['envoy.acme.test', false],
  ])('takes the owner of a port of this machine at %s: %p', async (host, isOwn) => {
    const server = createServer().listen(0, '127.0.0.1');
    try {
      if (!server.listening) await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      expect(userAt(`${host}:${port}`)).toBe(isOwn ? process.getuid?.() : undefined);
    } finally {
      server.close();
    }
  });

  it('takes an address of this machine that is not loopback', async () => {
    const own = Object.values(networkInterfaces())
      .flatMap((all) => all ?? [])
      .find(({ family, internal }) => family === 'IPv4' && !internal);
    const address = own?.address ?? '127.0.0.1';
    const server = createServer().listen(0, address);
    try {
      if (!server.listening) await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      expect(userAt(`${address}:${port}`)).toBe(process.getuid?.());
    } finally {
      server.close();
    }
  });

  it('knows none if nothing listens', () => {
    expect(userAt('127.0.0.1:1')).toBeUndefined();
    expect(userAt('unix:/nonexistent/admin.sock')).toBeUndefined();
  });
});

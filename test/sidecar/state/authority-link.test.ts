import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import tls from 'node:tls';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { expect, it, jest } from '@jest/globals';
import type { Down, Up } from '../../../src/core/fleet/messages.ts';
import { methodOf } from '../../../src/core/fleet/service.ts';
import type { SpiffeId } from '../../../src/core/identity/spiffe-id.ts';
import type { Svid } from '../../../src/core/identity/svid.ts';
import { AuthorityLink } from '../../../src/sidecar/state/authority-link.ts';
import { svidOf, trustDomain } from '../../authority/feed/serving.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import { withClosers } from '../../builders/with-closers.ts';
import { FaultProxy } from '../../fault-proxy.ts';
import { until } from '../../until.ts';

const folder = testFolders();

/** Longer than a keep-alive of 5 s and its 4 s, by which such a stream was lost. */
const SILENT_MS = 11_000;

// Issue 37, point 13.
it(
  '`AuthorityLink` keeps the stream of an authority that answers nothing for 11 s: who follows it decides',
  withClosers(async (closers) => {
    const [path, at] = [join(folder(), 'a.sock'), join(folder(), 'proxy.sock')];
    const server = new Server();
    const heard: string[] = [];
    server.addService(
      { Follow: methodOf('Follow') },
      {
        Follow: (call: ServerDuplexStream<Up, Down>) =>
          void call.on('error', () => undefined).on('data', ({ of }: Up) => heard.push(of)),
      },
    );
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    closers.push(() => server.forceShutdown());
    const proxy = await FaultProxy.startAt(at, path);
    closers.push(() => proxy.close());
    const link = new AuthorityLink({ target: `unix:${at}`, tls: null });
    closers.push(() => link.close());
    const ends: string[] = [];
    const stream = link.follow({ onDown: () => undefined, onEnd: (problem) => ends.push(problem) });
    closers.push(() => stream.end());
    const dropped: Up = { of: 'dropped', dropped: { keys: [], n: 0 } };
    stream.send(dropped);
    await until(() => heard.length === 1, { what: 'the first message' });
    proxy.set({ kind: 'held' });
    await setTimeout(SILENT_MS);
    proxy.heal();
    stream.send(dropped);
    await until(() => heard.length === 2 || ends.length > 0, { what: 'another message, or the end of the stream' });
    expect(ends).toEqual([]);
  }),
);

// Issue 37, point 13: parsing took most of an attempt, of which a fleet without authorities makes many.
it(
  '`AuthorityLink` parses the key and the certificates of an SVID once, however often it connects',
  withClosers(async (closers) => {
    const acme = await trustDomain('acme.test');
    const newSvid = async (): Promise<Svid> => svidOf(await acme.svid('/ns/pay/sa/tools-1'), acme);
    const parsed = jest.spyOn(tls, 'createSecureContext');
    closers.push(() => parsed.mockRestore());
    const [first, renewed] = [await newSvid(), await newSvid()];
    const [one, other] = [mustSpiffeId('spiffe://acme.test/authority'), mustSpiffeId('spiffe://acme.test/other')];
    for (let n = 0; n < 3; n += 1) await attempt(first, one);
    expect(parsed).toHaveBeenCalledTimes(1);
    await attempt(renewed, one);
    expect(parsed).toHaveBeenCalledTimes(2);
    // Who is accepted as the authority is part of the credentials.
    await attempt(first, other);
    expect(parsed).toHaveBeenCalledTimes(3);
  }),
);

/** Tries to connect where nothing listens. */
async function attempt(svid: Svid, authorityId: SpiffeId): Promise<void> {
  const link = new AuthorityLink({ target: '127.0.0.1:1', tls: { svid, authorityId } });
  await new Promise<void>((resolve) => link.follow({ onDown: () => undefined, onEnd: () => resolve() }));
  link.close();
}

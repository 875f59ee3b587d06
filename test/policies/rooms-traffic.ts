import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent } from '../../src/dev/agent.ts';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import type { IssuedSvid } from '../../src/dev/authority.ts';
import { tokenRequest } from '../../src/dev/issuer-request.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import type { Ports } from '../../src/core/runtime/ports.ts';
import { startRemit } from '../../src/serve/remit.ts';
import type { Remit } from '../../src/serve/remit.ts';
import { checkClient } from '../sidecar/envoy/client.ts';
import { envoyCheckRequestType } from '../sidecar/envoy/protos.ts';
import { must } from '../builders/must.ts';
import { mustConfig } from '../builders/config.ts';

const DAY_MS = 86_400_000;
const AUDIENCE = 'https://rooms.acme.test';
const PURPOSE = 'plan the trip to Oslo';

/** A clock that starts at noon today, so that nothing depends on the time of the test run. */
function fromNoon(): Ports {
  const startedMs = systemPorts.nowMs();
  const noonMs = Math.floor(startedMs / DAY_MS) * DAY_MS + DAY_MS / 2;
  return { ...systemPorts, nowMs: () => noonMs + (systemPorts.nowMs() - startedMs) };
}

/** A `remit serve` of the guide, with an agent that has called it. */
export interface RoomsTraffic {
  /** `http://127.0.0.1:…` */
  readonly admin: string;
  readonly close: () => Promise<void>;
}

/**
 * Starts the `remit.yaml` of a folder on free ports and its own socket. The guide's agent declares a task and makes the calls,
 * one per line: `METHOD PATH`, and JSON for a body. Without Envoy: the test sends its check requests.
 */
export async function roomsTraffic(folder: string, calls: readonly string[]): Promise<RoomsTraffic> {
  const ports = fromNoon();
  const authority = await createAuthority(
    'acme.test',
    { ...ports, nowMs: () => systemPorts.nowMs() - DAY_MS },
    { lifetimeSeconds: 5 * 86_400 },
  );
  const lives = { notBeforeMs: systemPorts.nowMs() - DAY_MS, ttlSeconds: 3 * 86_400 };
  await writeCredential(
    folder,
    'svid',
    await authority.svid('/remit', { ...lives, dns: ['localhost'], ips: ['127.0.0.1'] }),
  );
  await writeBundle(folder, 'bundle', authority);
  const remit = await startedIn(folder, ports);
  const svid = await authority.svid('/ns/agents/sa/trips', lives);
  const agent = new Agent(svid, authority.bundlePem);
  const envoy = checkClient(`unix:${join(folder, 'check.sock')}`);
  try {
    const token = await tokenOf(agent, remit.issuerPort ?? 0);
    for (const call of calls) await envoy.check(checkOf(call, { svid, token }));
    await remit.flush();
    return { admin: `http://127.0.0.1:${remit.adminPort}`, close: () => remit.close() };
  } catch (error) {
    await remit.close();
    throw error;
  } finally {
    agent.close();
    envoy.close();
  }
}

const fail = (detail: string): void => {
  throw new Error(detail);
};

async function startedIn(folder: string, ports: Ports): Promise<Remit> {
  const file = join(folder, 'remit.yaml');
  const written = await readFile(file, 'utf8');
  const text = written.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:0').replace('unix:/run/remit', `unix:${folder}`);
  return must(
    await startRemit(mustConfig(text, { folder }), { ports, environment: {}, log: () => undefined, onFatal: fail }),
  );
}

async function tokenOf(agent: Agent, port: number): Promise<string> {
  const request = tokenRequest(AUDIENCE, { actions: ['rooms.*'], purpose: PURPOSE });
  const reply = await agent.call(port, { host: `localhost:${port}`, ...request });
  if (reply.status !== 200) throw new Error(`the issuer refused: ${reply.body}`);
  return JSON.parse(reply.body).access_token;
}

/** Envoy's check request for a call. */
function checkOf(call: string, { svid, token }: { readonly svid: IssuedSvid; readonly token: string }): Uint8Array {
  const [method = '', path = '', ...rest] = call.split(' ');
  const body = Buffer.from(rest.join(' '));
  const ofBody = [
    ['content-type', 'application/json'],
    ['content-length', String(body.length)],
    ['x-envoy-auth-partial-body', 'false'],
  ] as const;
  const lines = [
    [':method', method],
    [':path', path],
    ['authorization', `Bearer ${token}`],
    ...(body.length === 0 ? [] : ofBody),
  ] as const;
  return envoyCheckRequestType.serialize({
    attributes: {
      source: { principal: svid.id, certificate: encodeURIComponent(svid.certPem) },
      request: {
        http: {
          method,
          path,
          host: 'rooms.acme.test',
          scheme: 'https',
          header_map: { headers: lines.map(([key, value]) => ({ key, raw_value: Buffer.from(value) })) },
          ...(body.length === 0 ? {} : { raw_body: body }),
        },
      },
    },
  });
}

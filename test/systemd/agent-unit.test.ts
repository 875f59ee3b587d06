import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { declaredAt, type ServiceDomain, startServiceDomain } from '../agent/service/service-domain.ts';
import { testFolders } from '../builders/test-folders.ts';
import { remit, type Running } from '../e2e/process.ts';
import { root } from '../release/sources.ts';

const unit = readFileSync(join(root, 'deploy/systemd/system/remit-agent@.service'), 'utf8');
const sh = promisify(execFile);

/** The command of a line of the unit, with what systemd puts into it. */
const commandOf = (key: string, words: Readonly<Record<string, string>>): string => {
  const line = new RegExp(`^${key}=(.*)$`, 'm').exec(unit.replaceAll(/\\\n +/g, ''))?.[1] ?? '';
  return Object.entries(words).reduce((text, [from, to]) => text.replaceAll(from, to), line);
};

// Issue 44, point 1.
describe('the unit of a helper', () => {
  const folder = testFolders(async () => {
    for (const { child, exit } of running) {
      child.kill('SIGTERM');
      await exit;
    }
    await domain?.close();
  });
  const at = folder();
  const running: Running[] = [];
  let domain: ServiceDomain;
  let places: Readonly<Record<string, string>>;
  beforeAll(async () => {
    domain = await startServiceDomain(at);
    mkdirSync(join(at, 'remit-agent/chat'), { recursive: true, mode: 0o700 });
    mkdirSync(join(at, 'agents/chat'), { recursive: true });
    places = {
      '%t': at,
      '/etc/remit/agents/%i/intents': domain.intents,
      '%i': 'chat',
      $OPTIONS: [
        ...domain.run.options,
        ...['tools=https://payments.acme.test', 'files=https://files.acme.test'].flatMap((one) => [
          '--forward',
          `${one},connect=127.0.0.1:${domain.upstreamPort}`,
        ]),
      ].join(' '),
    };
  });

  /** As systemd starts it: what comes before, the helper, and what must have ended before the service starts. */
  const started = async (): Promise<{ readonly url: string; readonly helper: Running }> => {
    await sh('sh', ['-c', commandOf('ExecStartPre', places)]);
    const [, words = ''] = commandOf('ExecStart', places).split(' /usr/bin/remit ');
    const helper = remit(words.split(' '));
    running.push(helper);
    const post = /^\/bin\/sh -c '(.*)'$/.exec(commandOf('ExecStartPost', places))?.[1] ?? 'false';
    await Promise.race([
      sh('sh', ['-c', post], { timeout: 90_000 }),
      helper.exit.then((code) => Promise.reject(new Error(`ended with ${code}: ${helper.err()}`))),
    ]);
    const environment = readFileSync(join(at, 'remit-agent/chat/environment'), 'utf8');
    return { url: /^REMIT_TASKS=(.*)$/m.exec(environment)?.[1] ?? '', helper };
  };

  it('is started when the service can declare a task, in a folder of its user alone', async () => {
    const { url } = await started();
    expect((await declaredAt(url)).status).toBe(201);
    expect(statSync(join(at, 'remit-agent/chat')).mode & 0o777).toBe(0o700);
    expect(statSync(join(at, 'remit-agent/chat/environment')).mode & 0o777).toBe(0o600);
  });

  it('is started anew after a crash with the same URL, and not before the new helper listens', async () => {
    const [{ child, exit } = remit([])] = running;
    child.kill('SIGKILL');
    await exit;
    const url = /^REMIT_TASKS=(.*)$/m.exec(readFileSync(join(at, 'remit-agent/chat/environment'), 'utf8'))?.[1];
    const again = await started();
    expect(again.url).toBe(url);
    expect((await declaredAt(again.url)).status).toBe(201);
  });
});

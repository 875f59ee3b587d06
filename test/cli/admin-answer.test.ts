import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { adminObject } from '../../src/cli/admin-answer.ts';
import { fleetCommand } from '../../src/cli/fleet.ts';
import { policyRollout } from '../../src/cli/policy/policy-rollout.ts';
import { signalsVerify } from '../../src/cli/signals-verify.ts';
import { EXIT } from '../../src/cli/command.ts';
import type { CommandIo } from '../../src/cli/command.ts';
import { commandRun } from '../builders/command-run.ts';

let server: Server | null = null;

/** The address of a server that is not Remit and answers everything with this text. */
async function strange(text: string): Promise<string> {
  server = createServer((_, response) => response.end(text));
  await new Promise<void>((resolve) => void server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

afterEach(async () => {
  await new Promise<void>((resolve) => void (server === null ? resolve() : server.close(() => resolve())));
  server = null;
});

interface Answer {
  readonly id: string;
  readonly list: readonly unknown[];
  readonly is: boolean;
}

const MEMBERS = { id: 'string', list: 'array', is: 'boolean' } as const;

describe('`adminObject` reads the answer of Remit and says what another server answered', () => {
  it.each([
    ['<html>', 'did not answer with a JSON object'],
    ['', 'did not answer with a JSON object'],
    ['null', 'did not answer with a JSON object'],
    ['[]', 'did not answer with a JSON object'],
    ['"ok"', 'did not answer with a JSON object'],
    ['{}', 'answered without `id`'],
    ['{"id":1,"list":[],"is":true}', 'answered without `id`'],
    ['{"id":"a","list":{},"is":true}', 'answered without `list`'],
    ['{"id":"a","list":null,"is":true}', 'answered without `list`'],
    ['{"id":"a","list":[],"is":"true"}', 'answered without `is`'],
  ])('%s: %s', async (text, problem) => {
    const admin = await strange(text);
    const read = await adminObject<Answer>(admin, '/x', { members: MEMBERS });
    expect(read).toEqual({ problem: expect.stringContaining(`\`${admin}\` ${problem}`) });
  });

  it('with all members, and others', async () => {
    const admin = await strange('{"id":"a","list":[1],"is":false,"more":{}}');
    expect(await adminObject<Answer>(admin, '/x', { members: MEMBERS })).toEqual({
      answer: { id: 'a', list: [1], is: false, more: {} },
    });
  });
});

describe('a command whose --admin names another server says so, and ends with 2', () => {
  it.each([
    ['remit fleet', fleetCommand.run],
    ['remit policy rollout', policyRollout.run],
    ['remit signals verify', (args: readonly string[], io: CommandIo) => signalsVerify(['siem', ...args], io)],
  ])('%s', async (_name, run) => {
    for (const text of ['<html>', '{}', '[]', '{"groups":1,"replicas":1,"result":1}']) {
      const admin = await strange(text);
      const { code, out, err } = await commandRun(run, ['--admin', admin]);
      expect({ code, out, err: err.join('\n') }).toEqual({
        code: EXIT.bad,
        out: [],
        err: expect.stringContaining('is it the admin address of Remit'),
      });
      await new Promise<void>((resolve) => void server?.close(() => resolve()));
      server = null;
    }
  });
});

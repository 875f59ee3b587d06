import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { both, clientPart, describeWith, envoyPart } from '../parts.ts';
import { type AgentEnd, ranAgent } from './agents.ts';
import { type Handed, type ScriptedModel, startScriptedModel } from './scripted-model.ts';
import { startToolsDomain, type ToolsDomain } from './tools-domain.ts';

/** The least that an issuer can be set to. */
const TOKEN_SECONDS = 10;
/** No token that was there before is valid after it. */
const outliveToken = (): Promise<void> => sleep((TOKEN_SECONDS + 1) * 1_000);

/** An agent that thinks for longer than a token lives. */
describeWith(both(clientPart('mcp-python-1'), envoyPart()), 'tokens that end within a session of MCP', ([, envoy]) => {
  let domain: ToolsDomain;
  let model: ScriptedModel;
  let end: AgentEnd;
  let handed: readonly Handed[];
  let denials: readonly string[];

  beforeAll(async () => {
    [domain, model] = await Promise.all([
      startToolsDomain(envoy, { tokenSeconds: TOKEN_SECONDS }),
      startScriptedModel(),
    ]);
    const read = { tool: 'read_file', args: { name: 'trip' } };
    const stopped = async (): Promise<void> => {
      await domain.suspendTask();
      await outliveToken();
    };
    const got = model.follow([read, { ...read, before: outliveToken }, { ...read, before: stopped }, read]);
    end = await ranAgent({ program: 'mcp_1.py', packages: 'mcp-python-1' }, { ...domain.place, modelUrl: model.url });
    handed = got();
    denials = domain.denials.map(({ reason }) => reason);
  });
  afterAll(async () => {
    await model?.close();
    await domain?.close();
  });

  it('are renewed, and the agent, its session and its task go on', () => {
    expect([handed[1], end.err]).toEqual(['read_file was run', expect.any(String)]);
    const headers = domain.server.requests.map(({ headers }) => headers);
    expect(new Set(headers.flatMap((one) => one['mcp-session-id'] ?? [])).size).toBe(1);
    expect(new Set(headers.map((one) => one['x-remit-task'])).size).toBe(1);
  });

  it('are not had any more once the task is suspended, and the forwarder tells the model so', () => {
    for (const text of handed.slice(2))
      expect(text).toMatch(/task\.suspended[^]*Stop this task|Stop this task[^]*task\.suspended/);
    expect(end.code).toBe(0);
    expect(denials).toEqual([]);
  });
});

import { afterAll } from '@jest/globals';
import { envoyPart } from '../parts.ts';
import type { AgentDomain } from './agent-domain.ts';
import { type ScriptedModel, startScriptedModel } from './scripted-model.ts';

/** What the agents of a suite run in. */
export interface AgentSetting<Domain extends AgentDomain> {
  readonly domain: Domain;
  readonly model: ScriptedModel;
}

/** Gives the same domain and model to all agents of a suite: started at the first call, closed after the last test. */
export function startedOnce<Domain extends AgentDomain>(
  start: (envoy: string) => Promise<Domain>,
): () => Promise<AgentSetting<Domain>> {
  let running: Promise<AgentSetting<Domain>> | undefined;
  afterAll(async () => {
    const parts = await running;
    await parts?.model.close();
    await parts?.domain.close();
  });
  const startAll = async (): Promise<AgentSetting<Domain>> => ({
    domain: await start(envoyPart().found ?? ''),
    model: await startScriptedModel(),
  });
  return () => (running ??= startAll());
}

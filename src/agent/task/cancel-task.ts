/** Cancels tasks whose wrapper is gone. */
import { setTimeout as delay } from 'node:timers/promises';
import { mapSeveral } from '../../core/runtime/collections/map-several.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import type { IssuerPlace } from './issuer-call.ts';
import { IssuerClient } from './issuer-client.ts';
import { isIssuerProblem } from './issuer-problem.ts';
import { OwnSvid } from '../run/own-svid.ts';

/** Back-off between attempts, in milliseconds. */
const PAUSES_MS = [250, 1_000, 2_000, 4_000, 8_000, 15_000];
/** Tasks that are cancelled at once. */
const AT_ONCE = 16;

/** Cancels tasks whose wrapper is gone: at most 7 attempts for each, with 30 s of back-off in all. Reports nothing. */
export async function cancelTasks(issuer: IssuerPlace, taskIds: readonly string[]): Promise<void> {
  const svid = await OwnSvid.open(issuer.svid, systemPorts);
  const client = new IssuerClient(issuer, { svid, nowMs: systemPorts.nowMs });
  await mapSeveral(taskIds, AT_ONCE, async (taskId) => {
    for (const pauseMs of [...PAUSES_MS, null]) {
      const ended = await client.end(taskId, 'cancel');
      if (!isIssuerProblem(ended) || !ended.isTransient || pauseMs === null) return;
      await delay(pauseMs);
    }
  });
  svid.close();
}

import { join } from 'node:path';
import type { SegmentLog } from '../../src/core/ledger/log/log.ts';
import { authority, connected, nameOf, partFrom, sidecarLog, unsignedPart } from '../authority/records/receivers.ts';
import { addUse } from './ledgers.ts';

/** An authority that received three logs: one that left, one that was killed with a record under no checkpoint, and one that goes on. */
export async function receivedFleet(folder: () => string) {
  const own = await authority(folder());
  addUse(own.log, 1);
  const logs: Record<string, SegmentLog> = {};
  for (const [name, first] of [
    ['left', 10],
    ['killed', 20],
    ['open', 30],
  ] as const) {
    const pod = folder();
    const log = sidecarLog(pod, 0);
    logs[name] = log;
    for (let n = first; n < first + 5; n += 1) addUse(log, n);
    log.checkpoint();
    const { stream } = await connected(own.receiver, nameOf(log), log.size);
    await stream.receive(partFrom(pod, 0));
    await own.timers.pass(300);
    if (name === 'left') await stream.end(true);
    if (name === 'killed') {
      addUse(log, 99);
      await stream.receive(unsignedPart(pod, 6));
      await own.timers.pass(300);
      await stream.end(false);
      await own.timers.pass(70_000);
    }
    log.close();
  }
  await own.close();
  return {
    ledger: join(own.folder, 'ledger'),
    records: own.records,
    key: own.log.verifierKey,
    origins: originsOf(logs),
  };
}

const originsOf = (logs: Readonly<Record<string, SegmentLog>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(logs).map(([name, { origin }]) => [name, origin]));

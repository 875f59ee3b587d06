import type { Admit, AdmittedRequest } from '../forward/local/listener.ts';
import { type LocalAnswer, refusal, withoutToken } from '../forward/local/local-answer.ts';
import { passedRest, strangerRefusal } from '../forward/local/local-gate.ts';
import { valuesOf } from '../forward/passed-headers.ts';
import { issuerProblem } from '../task/issuer-problem.ts';
import { holdsSecret, segmentOf } from './local-secret.ts';
import type { EndedTask } from './task-ends.ts';
import type { TaskService } from './task-service.ts';
import type { TaskUnit } from './task-unit.ts';
import type { UnitWay } from './unit-way.ts';
import type { UpstreamDoor } from './upstream-door.ts';

/** Names the task of a plain HTTP client that cannot have the secret in its URL; never passed on. */
const TASK_HEADER = 'remit-task';

/**
 * Finds the task of a request at the address of an upstream: by the secret in its path, or if the path has none by that in the header. Nothing else
 * names a task: not the connection, whatever it carried before, and no context. Without a secret the request is refused.
 */
export const admittedCalls =
  (service: Pick<TaskService, 'opened' | 'endedBy'>) =>
  (door: UpstreamDoor, port: number | null): Admit =>
  (request) => {
    const stranger = strangerRefusal(request, port);
    if (stranger !== null) return stranger;
    const named = valuesOf(request.lines, TASK_HEADER);
    if (named.length > 1) return refusal(400, 'task', `more than one ${TASK_HEADER}`);
    const [header = null] = named;
    const { segment, rest } = segmentOf(request.target);
    // Only what looks like a secret is a secret: another first segment belongs to the path at the upstream.
    const inPath = holdsSecret(segment) ? segment : null;
    const secret = inPath ?? header;
    const found = secret === null ? null : service.opened(secret);
    if (found === null || found.kind === 'end')
      return unknownTask(secret === null ? null : service.endedBy(secret, 'calls'));
    const { unit } = found;
    if (inPath !== null && header !== null && header !== unit.headerSecret)
      return refusal(400, 'task', `the path and ${TASK_HEADER} name different tasks`);
    const way = found.kind === 'way' ? found.way : unit.ways.find((one) => one.door === door);
    if ((found.kind === 'way') !== (inPath !== null) || way?.door !== door) return unknownTask(null);
    const passed = passedRest(request.method, inPath === null ? request.target : rest);
    return 'status' in passed ? passed : admitted(unit, way, { rest: passed.rest, inPath });
  };

const admitted = (
  unit: TaskUnit,
  way: UnitWay,
  { rest, inPath }: { readonly rest: string; readonly inPath: string | null },
): AdmittedRequest => ({
  rest,
  forwarded: unit.forwardedBy(way),
  prefix: inPath === null ? '' : `/${inPath}`,
  onCall: (answer) => unit.called(answer),
});

/** The answer for a task that has ended, as Remit denies its calls; "not found" for a task that is not known. */
function unknownTask(ended: EndedTask | null): LocalAnswer {
  if (ended === null)
    return refusal(
      404,
      'path',
      `not found; use the URL of a task as it was given, with its path, or send its secret as ${TASK_HEADER}`,
    );
  const { by, state } = ended;
  const asked = by === 'complete' ? 'completed' : 'cancelled';
  const taskState = state === 'ending' ? asked : state;
  return withoutToken({ ...issuerProblem('task_ended', `the task is ${taskState}`), taskState });
}

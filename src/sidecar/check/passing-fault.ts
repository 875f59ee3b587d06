import { answerTo } from './answer.ts';
import type { Answer, AnswerServices } from './answer.ts';
import type { AskedCheck } from './asked-check.ts';
import { traceOf } from './decide-now.ts';
import type { ReadCheck } from './read.ts';
import type { CheckServices } from './services.ts';
import { shownCheck } from '../../core/decide/decided-check.ts';
import type { DecidedCheck } from '../../core/decide/decided-check.ts';
import { stoppedWhileObserved } from '../../core/decide/decide.ts';
import { enforce } from '../../core/decide/enforce.ts';
import { modeOf } from '../../core/decide/mode.ts';
import type { Mode } from '../../core/decide/mode.ts';
import type { Orders } from '../../core/order/orders.ts';
import { deny, isDeny } from '../../core/decision/decision.ts';
import type { Deny } from '../../core/decision/decision.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from '../../core/decision/uuid.ts';
import { useRecord } from '../../core/ledger/use.ts';
import { placeOfCheck } from '../../core/telemetry/spans/span.ts';
import { noTask } from './task-facts.ts';

/** What covers a check that was read; `null` if it is enforced. */
export const modeOfRead = ({ reading, clocks, policies }: ReadCheck, orders: Orders): Mode | null =>
  modeOf({ ...reading, orders, nowMs: clocks.wallMs, floorMs: clocks.floorMs }, policies);

/** The services that answer an observed check that threw. */
export type FaultServices = AnswerServices & Pick<CheckServices, 'ports' | 'ledger' | 'digestOf' | 'spans' | 'states'>;

const failed = deny('internal', 'the check failed');

/**
 * The answer to a check that threw while it was decided, or that is not decided, if its call is only observed: a fault of Remit must not be an
 * outage. `null` if it is enforced or stopped, or carries a token that Remit would have had to judge.
 *
 * @param by.read reads the check, again if it threw; what it throws is the caller's
 * @param by.why why it is not decided; default `internal`
 */
export function passingFault(
  services: FaultServices,
  asked: AskedCheck,
  { read, why = failed }: { readonly read: (asked: AskedCheck) => ReadCheck; readonly why?: Deny | undefined },
): Answer | null {
  const again = read(asked);
  const orders = services.states.orders();
  const mode = modeOfRead(again, orders);
  const decision = enforce(why, mode);
  if (mode === null || isDeny(decision) || isToJudge(again)) return null;
  const { reading, clocks, policies } = again;
  const { circumstances: _circumstances, ...known } = reading;
  const facts = {
    ...known,
    ...noTask,
    orders,
    use: 0,
    reuse: [],
    nowMs: clocks.wallMs,
    floorMs: clocks.floorMs,
  };
  if (stoppedWhileObserved(facts, { binding: services.binding, policies }) !== null) return null;
  const place = placeOfCheck(services, traceOf(asked).parent);
  const [policySet, policyGeneration] = isDeny(policies) ? [null, null] : [policies.hash, policies.generation];
  const check: DecidedCheck = shownCheck(
    {
      decisionId: uuidV7(clocks.wallMs, services.ports.randomBytes(UUID_RANDOM_BYTES)),
      decision,
      mode,
      facts,
      policySet,
      policyGeneration,
      cache: 'bypass',
    },
    services.digestOf,
  );
  services.ledger.append(useRecord(check, place));
  return answerTo(services, check, { traceId: place.traceId, transactionToken: null });
}

/** Whether a call carries a token that is Remit's to judge: ended and stolen ones are denied also while observing. */
const isToJudge = ({ reading: { credential } }: ReadCheck): boolean =>
  isDeny(credential) ? credential.isOfRemit === true : credential.kind !== 'workload-identity';

import type { CallReading } from './read.ts';
import type { CheckServices } from './services.ts';
import { taskFactsOf } from './task-facts.ts';
import { isPresentedByAnother } from '../../core/decide/decided-check.ts';
import type { DecidedCheck } from '../../core/decide/decided-check.ts';
import { taskTokenOf } from '../../core/decide/facts.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { settleBindingViolation } from '../../core/task/binding-violation.ts';
import type { BindingViolation } from '../../core/task/binding-violation.ts';
import { bindingProblem } from '../../core/token/proof/binding.ts';
import type { TaskToken } from '../../core/token/claims.ts';
import { isExpired } from '../../core/token/verify.ts';

/** Reports findings of a decided check. No decision waits for these writes or fails with them. */
export function reportFindings(services: CheckServices, check: DecidedCheck, reading: CallReading): void {
  reportSecrets(services, check);
  const stolen = stolenToken(services, check, reading);
  if (stolen !== null) reportStolenToken(services, stolen);
}

/** Updates the inventory of static secrets. Secrets of unknown callers are left out. */
function reportSecrets({ reports }: CheckServices, { facts: { secrets, caller, action } }: DecidedCheck): void {
  if (secrets.length === 0 || isDeny(caller)) return;
  const whose = { agent: caller.id, action: isDeny(action) ? '' : action.id };
  reports.seen(secrets.map(({ digest, kind, where, name }) => ({ digest, kind, place: `${where} ${name}`, ...whose })));
}

/** The verified task token of another workload that a call presented, even if it has expired: it has leaked. */
function stolenToken(services: CheckServices, check: DecidedCheck, reading: CallReading): BindingViolation | null {
  const { facts, decision } = check;
  const { caller, nowMs } = facts;
  if (isDeny(caller) || !isDeny(decision)) return null;
  const by = { presentedBy: caller.id, nowMs };
  const token = taskTokenOf(facts);
  if (token !== null) return isPresentedByAnother(check) ? { ...by, ...placeOf(token), issued: facts.issued } : null;
  const { credential, presented } = reading;
  if (decision.reason !== 'token.expired' || !isDeny(credential) || !isExpired(credential)) return null;
  const { expired } = credential;
  const { proof, scheme } = presented;
  if (isDeny(proof) || expired.clientId === caller.id) return null;
  if (bindingProblem(expired, { caller, proof, scheme }, services.binding)?.reason !== 'token.binding') return null;
  return { ...by, ...placeOf(expired), issued: taskFactsOf(services, expired).issued };
}

const placeOf = ({ issuer, taskId }: TaskToken): Pick<BindingViolation, 'issuer' | 'taskId'> => ({ issuer, taskId });

/** Reports a verified task token that another workload presents. By default the token is revoked. */
function reportStolenToken({ ledger, onBindingViolation, reports }: CheckServices, stolen: BindingViolation): void {
  const record = settleBindingViolation(reports, stolen, onBindingViolation);
  if (record !== null) ledger.append(record);
}

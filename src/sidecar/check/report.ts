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

/** The services that take reports. No decision waits for a report, or fails with it. */
export type ReportingServices = Pick<CheckServices, 'reports' | 'ledger' | 'onBindingViolation' | 'binding' | 'states'>;

/** Updates the inventory of static secrets. Secrets of unknown callers are left out. */
export function reportSecrets(
  { reports }: Pick<ReportingServices, 'reports'>,
  { facts: { secrets, caller, action } }: DecidedCheck,
): void {
  if (secrets.length === 0 || isDeny(caller)) return;
  const whose = { agent: caller.id, action: isDeny(action) ? '' : action.id };
  reports.seen(secrets.map(({ digest, kind, where, name }) => ({ digest, kind, place: `${where} ${name}`, ...whose })));
}

/** Revokes a verified task token that another workload presents, or its whole task, as `onBindingViolation` says. */
export function revokeStolenToken(services: ReportingServices, check: DecidedCheck, reading: CallReading): void {
  const stolen = stolenToken(services, check, reading);
  if (stolen === null) return;
  const record = settleBindingViolation(services.reports, stolen, services.onBindingViolation);
  if (record !== null) services.ledger.append(record);
}

/** The verified task token of another workload that a call presented, even if it has expired: it has leaked. */
function stolenToken(
  services: Pick<ReportingServices, 'binding' | 'states'>,
  check: DecidedCheck,
  reading: CallReading,
): BindingViolation | null {
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

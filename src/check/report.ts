import type { CheckServices } from './services.ts';
import { isPresentedByAnother } from '../decide/decided-check.ts';
import type { DecidedCheck } from '../decide/decided-check.ts';
import { taskTokenOf } from '../decide/facts.ts';
import { isDeny } from '../decision/decision.ts';
import { settleBindingViolation } from '../task/binding-violation.ts';

/** Reports findings of a decided check. No decision waits for these writes or fails with them. */
export function reportFindings(services: CheckServices, check: DecidedCheck): void {
  reportSecrets(services, check);
  reportStolenToken(services, check);
}

/** Updates the inventory of static secrets. Secrets of unknown callers are left out. */
function reportSecrets({ reports }: CheckServices, { facts: { secrets, caller, action } }: DecidedCheck): void {
  if (secrets.length === 0 || isDeny(caller)) return;
  const whose = { agent: caller.id, action: isDeny(action) ? '' : action.id };
  reports.seen(secrets.map(({ digest, kind, where, name }) => ({ digest, kind, place: `${where} ${name}`, ...whose })));
}

/** Reports a verified task token that another workload presents. By default the token is revoked. */
function reportStolenToken(services: CheckServices, check: DecidedCheck): void {
  const { facts } = check;
  const token = taskTokenOf(facts);
  const { caller } = facts;
  if (!isPresentedByAnother(check) || token === null || isDeny(caller)) return;
  const { issuer, taskId } = token;
  const violation = { issuer, taskId, issued: facts.issued, presentedBy: caller.id, nowMs: facts.nowMs };
  const record = settleBindingViolation(services.reports, violation, services.onBindingViolation);
  if (record !== null) services.ledger.append(record);
}

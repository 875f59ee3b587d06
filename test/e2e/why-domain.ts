/** A trust domain in which payment p-77 was made: by an agent to which another delegated a part of its task, and whose token was stolen. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DevDomain } from '../../src/dev/domain.ts';
import { callPayments, examples, mustDeclare, startDomain } from './domain.ts';
import { handedOn } from './handed-on.ts';

/** What happened in the trust domain. */
export interface MadePayment {
  readonly domain: DevDomain;
  /** The task of the planner, and the part of it that the reporter did. */
  readonly tasks: { readonly whole: string; readonly part: string };
  /** Status of each call. */
  readonly statuses: readonly number[];
}

/** Text that replaces another in a file of the example policies. */
const edits: readonly (readonly [file: string, from: string, to: string])[] = [
  [
    'actions.yaml',
    'currency: { from: body }',
    'currency: { from: body }\n          reference: { from: body, record: true }',
  ],
  [
    'policies/issue.cedar',
    'principal == Remit::Agent::"spiffe://acme.test/ns/agents/sa/planner"',
    'principal in Remit::AgentGroup::"payers"',
  ],
  [
    'entities.cedarentities.json',
    '"parents": [{ "type": "Remit::AgentGroup", "id": "agents" }]\n  }\n]',
    '"parents": [{ "type": "Remit::AgentGroup", "id": "payers" }]\n  }\n]',
  ],
];

/** The example policies in a folder, with a reporter that may pay, and a catalog that lets the reference of a payment be recorded. */
async function payingPolicies(folder: string): Promise<string> {
  const policies = join(folder, 'why-policies');
  await cp(examples, policies, { recursive: true });
  for (const [name, from, to] of edits) {
    const file = join(policies, name);
    const text = await readFile(file, 'utf8');
    if (!text.includes(from)) throw new Error(`\`${name}\` lacks \`${from}\``);
    await writeFile(file, text.replace(from, to));
  }
  return policies;
}

/** Starts the trust domain and makes the payment; the caller stops it. */
export async function madePayment(
  envoy: string,
  options: Omit<Parameters<typeof startDomain>[1], 'policies'>,
): Promise<MadePayment> {
  const domain = await startDomain(envoy, { ...options, policies: await payingPolicies(options.folder) });
  const { planner, reporter, thief } = domain.stage;
  const statuses: number[] = [];
  const call: typeof callPayments = async (...sent) => {
    const [status, reason] = await callPayments(...sent);
    statuses.push(status);
    return [status, reason];
  };
  const declared = { actions: ['payments.read', 'payments.create'], purpose: 'settle the invoices of May' };
  const whole = await mustDeclare(planner, domain, declared);
  await call(planner, domain, { token: whole.token });
  const part = await handedOn(domain, whole.token, reporter, declared);
  await call(reporter, domain, { token: part.token });
  await call(reporter, domain, {
    token: part.token,
    method: 'POST',
    path: '/v1/payments',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ amount: 480, currency: 'EUR', reference: 'p-77' }),
  });
  await call(thief, domain, { token: part.token, path: '/v1/payments/p-2' });
  return { domain, tasks: { whole: whole.taskId, part: part.taskId }, statuses };
}

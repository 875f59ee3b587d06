import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { examples } from './domain.ts';

/** The audience of another server on the host of payments, whose path looks like the id of a payment. */
export const CRM = 'https://payments.acme.test/v1/payments/crm';

/** Status and reason of a call that passed: the upstream knows no such payment, and gives no reason. */
export const SERVED = [404, undefined];

const server = `  crm:
    hosts: [payments.acme.test]
    paths: [/v1/payments/crm]
    audience: ${CRM}
    routes:
      - { action: crm.read, method: GET, path: /v1/payments/crm, risk: low }
`;
/** Policies permit both servers to the same agents, so only the servers keep them apart. */
const policies = `
@id("crm-task") permit (principal, action == Remit::Action::"issue", resource == Remit::Server::"crm");
@id("crm-read") permit (principal, action == Remit::Action::"crm.read", resource in Remit::Server::"crm");
`;

/** Copies the example policies with that server into a folder, and returns its path. */
export async function withCrm(folder: string): Promise<string> {
  const copy = join(folder, 'policies');
  await cp(examples, copy, { recursive: true });
  const catalog = join(copy, 'actions.yaml');
  await writeFile(catalog, (await readFile(catalog, 'utf8')).replace(/^servers:\n/m, `servers:\n${server}`));
  await writeFile(join(copy, 'policies', 'crm.cedar'), policies);
  return copy;
}

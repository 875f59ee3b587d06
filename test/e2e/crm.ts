import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { examples } from './domain.ts';

/** The audience of another server on the host of payments, whose path stands where the id of a payment could. */
export const CRM = 'https://payments.acme.test/v1/payments/crm';

/** Status and reason of a call that got through: what stands behind Envoy knows no such payment, and says no reason. */
export const SERVED = [404, undefined];

const server = `  crm:
    hosts: [payments.acme.test]
    paths: [/v1/payments/crm]
    audience: ${CRM}
    routes:
      - { action: crm.read, method: GET, path: /v1/payments/crm, risk: low }
`;
/** Whoever may use one of the two by policy may use the other: only the servers keep them apart. */
const policies = `
@id("crm-task") permit (principal, action == Remit::Action::"issue", resource == Remit::Server::"crm");
@id("crm-read") permit (principal, action == Remit::Action::"crm.read", resource in Remit::Server::"crm");
`;

/** The example policies with that server, copied into a folder: where they are. */
export async function withCrm(folder: string): Promise<string> {
  const copy = join(folder, 'policies');
  await cp(examples, copy, { recursive: true });
  const catalog = join(copy, 'actions.yaml');
  await writeFile(catalog, (await readFile(catalog, 'utf8')).replace(/^servers:\n/m, `servers:\n${server}`));
  await writeFile(join(copy, 'policies', 'crm.cedar'), policies);
  return copy;
}

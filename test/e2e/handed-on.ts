import type { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { formPost } from '../../src/dev/issuer-request.ts';
import type { Declaration } from './domain.ts';

/** A part of the planner's task for another agent: its token and its task. By default it may read payments. */
export async function handedOn(
  { stage }: DevDomain,
  token: string,
  to: Agent,
  { actions = ['payments.read'], purpose = 'settle payment p-1' }: Pick<Declaration, 'actions' | 'purpose'> = {},
): Promise<{ readonly token: string; readonly taskId: string }> {
  const exchange = async (by: Agent, fields: Readonly<Record<string, string>>) => {
    const request = formPost('/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      ...fields,
    });
    const reply = await by.call(stage.issuerPort, { host: stage.issuerHost, ...request });
    if (reply.status !== 200) throw new Error(reply.body);
    return JSON.parse(reply.body);
  };
  const detail = {
    type: 'urn:remit:task',
    locations: ['https://payments.acme.test'],
    actions,
    purpose,
  };
  const handed = await exchange(stage.planner, {
    subject_token: token,
    delegate: to.id,
    authorization_details: JSON.stringify([detail]),
  });
  const taken = await exchange(to, { subject_token: handed.access_token });
  return { token: taken.access_token, taskId: taken.txn };
}

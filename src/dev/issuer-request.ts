/** Requests of an agent to an issuer. */
import type { AgentCall } from './agent.ts';

/** What a declared task is for. */
export interface TaskDeclaration {
  readonly actions: readonly string[];
  readonly purpose: string;
  readonly constraints?: Readonly<Record<string, unknown>> | undefined;
}

/** A POST of a form. */
export const formPost = (
  path: string,
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Required<Omit<AgentCall, 'host'>> => ({
  method: 'POST',
  path,
  headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  body: new URLSearchParams(fields).toString(),
});

/** Declares a task at a tool server, by the audience of that, and asks for its token. */
export const tokenRequest = (
  resource: string,
  declaration: TaskDeclaration,
  headers: Readonly<Record<string, string>> = {},
): Required<Omit<AgentCall, 'host'>> => {
  const detail = { type: 'urn:remit:task', locations: [resource], ...declaration };
  const fields = { grant_type: 'client_credentials', resource, authorization_details: JSON.stringify([detail]) };
  return formPost('/oauth/token', fields, headers);
};

/**
 * The configuration of an authority on a PostgreSQL that tells a receiver of signals, as commands read it.
 * @param stateKey the file of `authority.stateKey`; none with `null`
 */
export const authorityYaml = (url: string, stateKey: string | null): string => `trustDomains: acme.test
svid: { workloadApi: unix:///run/spire/agent.sock }
issuer:
  url: https://remit.acme.test
  listen: 127.0.0.1:9472
  signals: { transmit: [{ name: siem, url: https://siem.acme.test/events }] }
state: ${url}
durability: single
authority:
  listen: unix:/run/remit/authority.sock
  sidecars: { id: spiffe://acme.test/tools, audiences: https://payments.acme.test }
${stateKey === null ? '' : `  stateKey: ${stateKey}\n`}`;

/** An issuer whose tokens say on whose behalf an agent acts. Its keys are looked up under `issuer`. */
export interface SubjectIssuer {
  /**
   * - `access-token`: RFC 9068 access tokens, `typ` `at+jwt`
   * - `id-jag`: identity assertions made out for the agent, `typ` `oauth-id-jag+jwt`
   * - `jwt-svid`: JWT-SVIDs of a SPIFFE trust domain
   */
  readonly kind: 'access-token' | 'id-jag' | 'jwt-svid';
  /** The `iss` of its tokens, compared exactly; of JWT-SVIDs, which need none, the trust domain: `spiffe://acme.test`. */
  readonly issuer: string;
  /** What `aud` must name; of an ID-JAG it names nothing else. Usually the URL of this issuer. */
  readonly audience: string;
  /**
   * What a `scope` claim means: `limits` where its values are actions or families of the catalog, so that no other action
   * can be granted, and none at all by a token without the claim; `ignored` where they are the words of somebody else.
   */
  readonly scope: 'limits' | 'ignored';
  /** The claims that say something of the subject, by the names that the catalog has for what they say. */
  readonly attributes: ReadonlyMap<string, string>;
}

/** How a client may name the kind of its `subject_token`. @see RFC 8693 section 3, draft-ietf-oauth-identity-assertion-authz-grant */
export const tokenTypes = Object.freeze({
  accessToken: 'urn:ietf:params:oauth:token-type:access_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
  idJag: 'urn:ietf:params:oauth:token-type:id-jag',
  transaction: 'urn:ietf:params:oauth:token-type:txn_token',
});

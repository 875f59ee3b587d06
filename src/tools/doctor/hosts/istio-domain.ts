import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import { textAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';

/** The trust domain that istiod uses if the mesh configuration names none. */
const BY_DEFAULT = 'cluster.local';

/** The mesh and Remit have one trust domain: agents get tokens with the SVIDs of SPIRE, and call with those of the mesh. */
export const istioDomainCheck: Check = {
  category: 'istio',
  title: 'the mesh and Remit have one trust domain',
  run: ({ objects, remit }) => {
    const config = remit?.host?.config;
    const meshes = ofKind(objects, 'MeshConfig');
    if (config === undefined || meshes.length === 0) return null;
    const own = config.trustDomains.map(String);
    return meshes.flatMap((mesh): readonly Finding[] => {
      const written = textAt(mesh.value, 'trustDomain');
      const domain = written || BY_DEFAULT;
      const others = own.filter((one) => one !== domain);
      if (others.length === 0) return [];
      const isCommon = own.includes(domain);
      const by = written === '' ? ', which is the default' : '';
      return [
        {
          code: 'istio.other-domain',
          where: placeOf(mesh),
          level: isCommon ? 'warning' : 'error',
          message: isCommon
            ? `its trust domain is \`${domain}\`${by}, and \`trustDomains\` of Remit has \`${others.join('`, `')}\` too: an agent with an SVID of that domain calls by a certificate of the mesh, and its token is refused (\`token.binding\`)`
            : `its trust domain is \`${domain}\`${by}, and \`trustDomains\` of Remit has \`${own.join('`, `')}\`: every caller is refused`,
          fix: `set \`trustDomain: ${others[0] ?? domain}\` in the mesh configuration, or give SPIRE the name of the mesh`,
        },
      ];
    });
  },
};

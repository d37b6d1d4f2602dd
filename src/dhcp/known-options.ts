// The DHCP options that have a name: IANA's registry "BOOTP Vendor Extensions and DHCP Options", and what others have in use. Other programs'
// spellings are aliases.

/**
 * How the bytes of a value are to be read and written. `ips` are one or more addresses, `ip-pairs` an even number of them; `domains` are
 * RFC 1035 names as in RFC 3397; `routes` are RFC 3442's; `codes` and `u16s` are lists of numbers of one and two bytes.
 */
export type OptionType = 'ip' | 'ips' | 'ip-pairs' | 'u8' | 'u16' | 'u32' | 'i32' | 'bool' | 'text' | 'codes' | 'u16s' | 'domains' | 'routes' | 'hex';

export interface KnownOption {
  readonly code: number;
  readonly name: string;
  readonly type: OptionType;
  /** As ISC dhcpd, Kea or dnsmasq write it. */
  readonly aliases: readonly string[];
}

type Row = readonly [code: number, name: string, type: OptionType, ...aliases: string[]];

const rows: readonly Row[] = [
  [1, 'subnet-mask', 'ip', 'netmask'],
  [2, 'time-offset', 'i32'],
  [3, 'routers', 'ips', 'router'],
  [4, 'time-servers', 'ips', 'time-server'],
  [5, 'ien116-name-servers', 'ips', 'name-servers'],
  [6, 'domain-name-servers', 'ips', 'dns-server'],
  [7, 'log-servers', 'ips', 'log-server'],
  [8, 'cookie-servers', 'ips', 'quotes-servers'],
  [9, 'lpr-servers', 'ips', 'lpr-server'],
  [10, 'impress-servers', 'ips'],
  [11, 'resource-location-servers', 'ips', 'rlp-servers'],
  [12, 'host-name', 'text', 'hostname'],
  [13, 'boot-size', 'u16', 'boot-file-size'],
  [14, 'merit-dump', 'text'],
  [15, 'domain-name', 'text'],
  [16, 'swap-server', 'ip'],
  [17, 'root-path', 'text'],
  [18, 'extensions-path', 'text', 'extension-path'],
  [19, 'ip-forwarding', 'bool', 'ip-forward-enable'],
  [20, 'non-local-source-routing', 'bool'],
  [21, 'policy-filter', 'ip-pairs'],
  [22, 'max-dgram-reassembly', 'u16', 'max-datagram-reassembly'],
  [23, 'default-ip-ttl', 'u8', 'default-ttl'],
  [24, 'path-mtu-aging-timeout', 'u32'],
  [25, 'path-mtu-plateau-table', 'u16s'],
  [26, 'interface-mtu', 'u16', 'mtu'],
  [27, 'all-subnets-local', 'bool'],
  [28, 'broadcast-address', 'ip', 'broadcast'],
  [29, 'perform-mask-discovery', 'bool'],
  [30, 'mask-supplier', 'bool'],
  [31, 'router-discovery', 'bool'],
  [32, 'router-solicitation-address', 'ip', 'router-solicitation'],
  [33, 'static-routes', 'ip-pairs', 'static-route'],
  [34, 'trailer-encapsulation', 'bool'],
  [35, 'arp-cache-timeout', 'u32', 'arp-timeout'],
  [36, 'ieee802-3-encapsulation', 'bool', 'ethernet-encap'],
  [37, 'default-tcp-ttl', 'u8', 'tcp-ttl'],
  [38, 'tcp-keepalive-interval', 'u32', 'tcp-keepalive'],
  [39, 'tcp-keepalive-garbage', 'bool'],
  [40, 'nis-domain', 'text'],
  [41, 'nis-servers', 'ips', 'nis-server'],
  [42, 'ntp-servers', 'ips', 'ntp-server'],
  [43, 'vendor-encapsulated-options', 'hex', 'vendor-encap'],
  [44, 'netbios-name-servers', 'ips', 'netbios-ns'],
  [45, 'netbios-dd-servers', 'ips', 'netbios-dd-server', 'netbios-dd'],
  [46, 'netbios-node-type', 'u8', 'netbios-nodetype'],
  [47, 'netbios-scope', 'text'],
  [48, 'font-servers', 'ips', 'x-windows-fs'],
  [49, 'x-display-managers', 'ips', 'x-display-manager', 'x-windows-dm'],
  [50, 'requested-address', 'ip', 'dhcp-requested-address'],
  [51, 'lease-time', 'u32', 'dhcp-lease-time'],
  [52, 'option-overload', 'u8', 'dhcp-option-overload'],
  [53, 'message-type', 'u8', 'dhcp-message-type'],
  [54, 'server-identifier', 'ip', 'dhcp-server-identifier'],
  [55, 'parameter-request-list', 'codes', 'dhcp-parameter-request-list'],
  [56, 'message', 'text', 'dhcp-message'],
  [57, 'max-message-size', 'u16', 'dhcp-max-message-size'],
  [58, 'renewal-time', 'u32', 'dhcp-renewal-time', 't1'],
  [59, 'rebinding-time', 'u32', 'dhcp-rebinding-time', 't2'],
  [60, 'vendor-class', 'text', 'vendor-class-identifier'],
  [61, 'client-identifier', 'hex', 'dhcp-client-identifier', 'client-id'],
  [62, 'nwip-domain', 'text', 'nwip-domain-name'],
  [63, 'nwip-suboptions', 'hex'],
  [64, 'nisplus-domain', 'text', 'nisplus-domain-name', 'nis+-domain'],
  [65, 'nisplus-servers', 'ips', 'nis+-server'],
  [66, 'tftp-server-name', 'text', 'tftp-server'],
  [67, 'boot-file-name', 'text', 'bootfile-name'],
  [68, 'mobile-ip-home-agents', 'ips', 'mobile-ip-home-agent', 'mobile-ip-home'],
  [69, 'smtp-servers', 'ips', 'smtp-server'],
  [70, 'pop3-servers', 'ips', 'pop-server', 'pop3-server'],
  [71, 'nntp-servers', 'ips', 'nntp-server'],
  [72, 'www-servers', 'ips', 'www-server'],
  [73, 'finger-servers', 'ips', 'finger-server'],
  [74, 'irc-servers', 'ips', 'irc-server'],
  [75, 'streettalk-servers', 'ips', 'streettalk-server'],
  [76, 'streettalk-directory-assistance-servers', 'ips', 'streettalk-directory-assistance-server'],
  [77, 'user-class', 'hex', 'user-class-id'],
  [78, 'slp-directory-agents', 'hex', 'slp-directory-agent'],
  [79, 'slp-service-scope', 'hex'],
  [80, 'rapid-commit', 'hex'],
  [81, 'fqdn', 'hex'],
  [82, 'relay-agent-information', 'hex', 'dhcp-agent-options'],
  [83, 'isns', 'hex'],
  [85, 'nds-servers', 'ips'],
  [86, 'nds-tree-name', 'text'],
  [87, 'nds-context', 'text'],
  [88, 'bcms-controller-names', 'domains'],
  [89, 'bcms-controller-addresses', 'ips', 'bcms-controller-address'],
  [90, 'authentication', 'hex'],
  [91, 'client-last-transaction-time', 'u32'],
  [92, 'associated-ip', 'ips'],
  [93, 'client-architecture', 'u16s', 'client-system', 'client-arch'],
  [94, 'client-ndi', 'hex', 'client-interface-id'],
  [95, 'ldap-url', 'text'],
  [97, 'client-uuid', 'hex', 'uuid-guid', 'client-machine-id'],
  [98, 'uap-servers', 'text'],
  [99, 'geoconf-civic', 'hex'],
  [100, 'pcode', 'text', 'posix-timezone'],
  [101, 'tcode', 'text', 'tzdb-timezone'],
  [108, 'v6-only-preferred', 'u32', 'ipv6-only-preferred'],
  [109, 'dhcp4o6-source-address', 'hex'],
  [112, 'netinfo-server-address', 'ips'],
  [113, 'netinfo-server-tag', 'text'],
  [114, 'default-url', 'text', 'v4-captive-portal'],
  [116, 'auto-config', 'u8'],
  [117, 'name-service-search', 'u16s'],
  [118, 'subnet-selection', 'ip'],
  [119, 'domain-search', 'domains', 'domain-search-list'],
  [120, 'sip-servers', 'hex', 'sip-server'],
  [121, 'classless-static-routes', 'routes', 'classless-static-route', 'rfc3442-classless-static-routes'],
  [122, 'cable-labs-configuration', 'hex'],
  [123, 'geoconf', 'hex'],
  [124, 'vivco-suboptions', 'hex', 'vi-vendor-class', 'vendor-id-encap'],
  [125, 'vivso-suboptions', 'hex', 'vi-vendor-options'],
  [128, 'etherboot-magic', 'hex'],
  [129, 'etherboot-arguments', 'text', 'kernel-arguments'],
  [130, 'etherboot-ethernet-device', 'hex'],
  [136, 'pana-agents', 'ips', 'pana-agent'],
  [137, 'lost-server', 'domains', 'v4-lost'],
  [138, 'capwap-ac-v4', 'ips'],
  [139, 'mos-servers', 'hex'],
  [140, 'mos-names', 'hex'],
  [141, 'sip-ua-cs-domains', 'domains'],
  [142, 'andsf-servers', 'ips'],
  [143, 'sztp-redirect', 'hex', 'v4-sztp-redirect'],
  [144, 'geoloc', 'hex'],
  [145, 'forcerenew-nonce-capable', 'hex'],
  [146, 'rdnss-selection', 'hex'],
  [147, 'dots-agent-name', 'domains', 'v4-dots-ri'],
  [148, 'dots-agents', 'ips', 'v4-dots-address'],
  [150, 'tftp-servers', 'ips', 'tftp-server-address'],
  [151, 'status-code', 'hex'],
  [152, 'base-time', 'u32'],
  [153, 'start-time-of-state', 'u32'],
  [154, 'query-start-time', 'u32'],
  [155, 'query-end-time', 'u32'],
  [156, 'dhcp-state', 'u8'],
  [157, 'data-source', 'u8'],
  [158, 'pcp-servers', 'hex', 'v4-pcp-server'],
  [159, 'v4-port-params', 'hex'],
  [161, 'mud-url', 'text'],
  [162, 'v4-dnr', 'hex'],
  [175, 'ipxe', 'hex'],
  [208, 'pxelinux-magic', 'hex'],
  [209, 'pxelinux-configfile', 'text', 'loader-configfile'],
  [210, 'pxelinux-pathprefix', 'text', 'loader-pathprefix'],
  [211, 'pxelinux-reboottime', 'u32', 'loader-reboottime'],
  [212, 'sixrd', 'hex', 'option-6rd'],
  [213, 'access-network-domain-name', 'domains', 'v4-access-domain'],
  [220, 'subnet-allocation', 'hex'],
  [221, 'virtual-subnet-selection', 'hex'],
  [249, 'ms-classless-static-routes', 'routes'],
  [252, 'wpad', 'text', 'auto-proxy-config'],
];

/** In the order of their codes. */
export const knownOptions: readonly KnownOption[] = rows.map(([code, name, type, ...aliases]) => ({ code, name, type, aliases }));

const byCode: ReadonlyMap<number, KnownOption> = new Map(knownOptions.map((known) => [known.code, known]));
const byName: ReadonlyMap<string, KnownOption> = new Map(knownOptions.flatMap((known) => [known.name, ...known.aliases].map((name) => [name, known])));

export function knownOption(codeOrName: number | string): KnownOption | undefined {
  return typeof codeOrName === 'number' ? byCode.get(codeOrName) : byName.get(codeOrName);
}

/** `vendor-class(60)`; for an option without a name `option(203)`. */
export function optionName(code: number): string {
  return `${byCode.get(code)?.name ?? 'option'}(${code})`;
}

/** `hex` for an option that is not known. */
export function optionType(code: number): OptionType {
  return byCode.get(code)?.type ?? 'hex';
}

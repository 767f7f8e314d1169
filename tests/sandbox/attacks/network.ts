// Attacks over sockets. What reaches the bystander is counted there.
import type { Attack } from "./attack.ts";
import { perl, ROOT_ONLY } from "./attempt.ts";

const NET_NAMESPACE = "a network namespace";
const FAMILIES = "seccomp: socket families";

const openSocket = (family: number, type: number, protocol: number) =>
  `judge(sys("socket", ${family}, ${type}, ${protocol}), "socket(${family}, ${type}, ${protocol})");`;

/**
 * A whole 64-bit program that makes the 32-bit system call socket(AF_UNIX, SOCK_STREAM, 0) by int 0x80 and ends with 42
 * when it gets a descriptor.
 */
function int80Program(): string {
  const code = "b867010000" + "bb01000000" + "b901000000" + "31d2" + "cd80" + // socket(1, 1, 0)
    "31ff" + "85c0" + "7805" + "bf2a000000" + "b83c000000" + "0f05"; // exit(result < 0 ? 0 : 42)
  const u16 = (n: number) => n.toString(16).padStart(4, "0").replace(/(..)(..)/, "$2$1");
  const u32 = (n: number) => u16(n & 0xffff) + u16(n >>> 16);
  const u64 = (n: number) => u32(n) + u32(0);
  const size = 120 + code.length / 2;
  const header = "7f454c46020101" + "00".repeat(9) + u16(2) + u16(62) + u32(1) + u64(0x400078) + u64(64) +
    u64(0) +
    u32(0) + u16(64) + u16(56) + u16(1) + u16(0).repeat(3);
  const segment = u32(1) + u32(5) + u64(0) + u64(0x400000) + u64(0x400000) + u64(size) + u64(size) +
    u64(0x1000);
  return header + segment + code;
}

const CONNECT_PATH = (address: string) =>
  String
    .raw`socket(my $s, AF_UNIX, SOCK_STREAM, 0) or blocked("socket: $!"); connect($s, pack_sockaddr_un(${address})) or blocked("connect: $!"); tried();`;

/** Attacks over the network, unix sockets among it, and around the filter. */
export const NETWORK: readonly Attack[] = [
  perl(
    "n-tcp-loopback",
    "connect to the host's loopback (TCP)",
    NET_NAMESPACE,
    (s) =>
      String
        .raw`socket(my $s, AF_INET, SOCK_STREAM, 0) or blocked("$!"); connect($s, sockaddr_in(${s.bystander.tcp}, INADDR_LOOPBACK)); tried("$!");`,
    {
      opensWithNetwork: true,
    },
  ),
  perl(
    "n-udp-loopback",
    "send to the host's loopback (UDP)",
    NET_NAMESPACE,
    (s) =>
      String
        .raw`socket(my $s, AF_INET, SOCK_DGRAM, 0) or blocked("$!"); send($s, "x", 0, sockaddr_in(${s.bystander.udp}, INADDR_LOOPBACK)); tried("$!");`,
    {
      opensWithNetwork: true,
    },
  ),
  perl(
    "n-tcp-loopback6",
    "connect to the host's loopback (IPv6)",
    NET_NAMESPACE,
    (s) =>
      String
        .raw`skip("no IPv6 here") unless ${s.bystander.tcp6}; socket(my $s, AF_INET6, SOCK_STREAM, 0) or blocked("$!"); connect($s, Socket::pack_sockaddr_in6(${s.bystander.tcp6}, Socket::IN6ADDR_LOOPBACK())); tried("$!");`,
    {
      opensWithNetwork: true,
      bare: "machine",
    },
  ),
  perl(
    "n-unix-abstract",
    "connect to an abstract unix socket",
    NET_NAMESPACE,
    (s) => CONNECT_PATH(`"\\0${s.bystander.abstract}"`),
    {
      opensWithNetwork: true,
    },
  ),
  perl(
    "n-unix-path",
    "connect to a unix socket in the file system",
    FAMILIES,
    (s) => CONNECT_PATH(`"${s.bystander.stream}"`),
    {
      opensWithNetwork: true,
    },
  ),
  perl(
    "n-unix-datagram",
    "send to a unix socket in the file system",
    FAMILIES,
    (s) =>
      String
        .raw`socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or blocked("socket: $!"); send($s, "x", 0, pack_sockaddr_un("${s.bystander.datagram}")); tried("$!");`,
    {
      opensWithNetwork: true,
    },
  ),
  perl(
    "n-unix-pair",
    "reconnect one end of a pair to a unix socket in the file system",
    "seccomp: pairs of streams only",
    (s) =>
      String.raw`
for my $type (SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, 5) {
  socketpair(my $a, my $b, AF_UNIX, $type, 0) or next;
  connect($a, pack_sockaddr_un("${s.bystander.datagram}")) and send($a, "x", 0); send($b, "x", 0, pack_sockaddr_un("${s.bystander.datagram}"));
  connect($a, pack_sockaddr_un("${s.bystander.stream}"));
} tried("$!");`,
    { opensWithNetwork: true },
  ),
  perl(
    "n-unix-known",
    "connect to the sockets of docker, D-Bus and agents",
    FAMILIES,
    () =>
      String.raw`
my @known = ("/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/journal/stdout", $ENV{SSH_AUTH_SOCK} || "/none", glob("/run/user/*/bus"), glob("/tmp/.X11-unix/*"), glob("/tmp/ssh-*/agent.*"));
for my $path (grep { -S $_ } @known) { socket(my $s, AF_UNIX, SOCK_STREAM, 0) or blocked("socket: $!"); escaped($path) if connect($s, pack_sockaddr_un($path)) } blocked("none");`,
    {
      opensWithNetwork: true,
      bare: "machine",
    },
  ),
  perl("n-vsock", "reach the hypervisor (AF_VSOCK)", FAMILIES, () => openSocket(40, 1, 0), {
    bare: "machine",
  }),
  perl("n-packet", "raw packets (AF_PACKET)", "no capabilities, seccomp", () => openSocket(17, 3, 768), {
    bare: ROOT_ONLY,
  }),
  perl("n-raw", "raw sockets", "no capabilities", () => openSocket(2, 3, 1), {
    bare: ROOT_ONLY,
  }),
  perl(
    "n-netlink-audit",
    "the kernel's audit socket",
    "seccomp: netlink protocol 0 only",
    () => openSocket(16, 3, 9),
    {
      bare: "machine",
    },
  ),
  perl(
    "n-netlink-others",
    "other netlink protocols: firewall, uevents, crypto",
    "seccomp: netlink protocol 0 only",
    () =>
      String
        .raw`for my $protocol (4, 6, 12, 15, 16, 21) { escaped("netlink $protocol") if sys("socket", 16, 3, $protocol) >= 0 } blocked("$!");`,
    {
      bare: "machine",
    },
  ),
  perl("n-kernel-crypto", "the kernel's crypto socket (AF_ALG)", FAMILIES, () => openSocket(38, 5, 0), {
    bare: "machine",
  }),
  perl(
    "n-family-high-bits",
    "a family with bits that the kernel ignores",
    "seccomp looks at the lower half, as the kernel does",
    (s) =>
      String
        .raw`my $fd = sys("socket", 1 | (1 << 32), 1, 0); $fd >= 0 or blocked("$!"); open(my $s, "+<&=", $fd) or blocked("$!"); connect($s, pack_sockaddr_un("${s.bystander.stream}")); tried("$!");`,
    { opensWithNetwork: true },
  ),
  perl(
    "n-io-uring",
    "io_uring, which goes round socket filters",
    "seccomp",
    () => String.raw`my $params = "\0" x 120; judge(sys("io_uring_setup", 1, $params), "io_uring_setup");`,
    { bare: "machine" },
  ),
  perl(
    "n-x32-abi",
    "x32 system calls",
    "seccomp: numbers from 0x40000000",
    () =>
      String
        .raw`skip("x86-64 only") unless defined $NR{mknod}; $NR{x32} = 0x40000000 + $NR{getpid}; my $r = sys("x32"); $r > 0 ? escaped("getpid gave $r") : blocked("$!");`,
    {
      bare: "machine",
    },
  ),
  perl("n-i386-abi", "socket() by int 0x80", "seccomp: foreign architectures are killed", () =>
    String.raw`
skip("x86-64 only") unless defined $NR{mknod};
open(my $f, ">", "int80") or skip("no place for the program: $!"); print $f pack("H*", "${int80Program()}"); close $f; chmod 0755, "int80";
my $r = child(sub { exec "./int80" }); $r == 42 ? escaped("it got a socket") : blocked("ended with $r");`, {
    bare: "machine",
  }),
  perl(
    "n-bind-low",
    "listen on port 1",
    "no capabilities",
    () =>
      String
        .raw`socket(my $s, AF_INET, SOCK_STREAM, 0) or blocked("$!"); bind($s, sockaddr_in(1, INADDR_ANY)) ? escaped("bound") : blocked("$!");`,
    {
      bare: { root: "open", user: "machine" },
    },
  ),
  perl(
    "n-host-interfaces",
    "see the host's interfaces",
    NET_NAMESPACE,
    () =>
      String
        .raw`my @found = grep { $_ ne "lo" && !/^(sit|tunl|ip6tnl|gre|erspan|ip_vti|ip6_vti|ip6gre)/ } slurp("/proc/net/dev") =~ /^\s*([^:\s]+):/mg; @found ? escaped(@found) : blocked("only lo");`,
    {
      opensWithNetwork: true,
      bare: "machine",
    },
  ),
];

/* tc ingress program: one multicast UDP flow becomes a unicast copy for each of N receivers inside the kernel.
 *
 * For comparison with relays in user space; it arbitrates nothing. Compiled by bpf-gcc (Debian's gcc-bpf) or clang with
 * GROUP, GROUP_PORT, PORT, FIRST_RECEIVER, SOURCE (addresses as integers of host byte order), N, OUT_INTERFACE, and the
 * MAC addresses RECEIVER_MAC and SOURCE_MAC as 48-bit integers. Receivers are FIRST_RECEIVER and the N - 1 addresses
 * after it. The UDP checksum becomes 0: none, which RFC 768 allows. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#ifdef __clang__
#define HELPER(number, name, ...) static int (*name)(__VA_ARGS__) = (void *)number
#else
#define HELPER(number, name, ...) extern int name(__VA_ARGS__) __attribute__((kernel_helper(number)))
#endif
HELPER(9, skb_store_bytes, void *, __u32, const void *, __u32, __u64);
HELPER(10, l3_csum_replace, void *, __u32, __u64, __u64, __u64);
HELPER(13, clone_redirect, void *, __u32, __u64);

/* By shifts: bpf-gcc 12 makes a call of __builtin_bswap32, and there is nothing to call. */
#define BIG_ENDIAN_16(x) ((__u16)((((x) & 0xff) << 8) | (((x) >> 8) & 0xff)))
#define BIG_ENDIAN_32(x) \
    ((__u32)((((x) & 0xff) << 24) | (((x) & 0xff00) << 8) | (((x) >> 8) & 0xff00) | (((x) >> 24) & 0xff)))

/* offsets in an Ethernet frame with an IPv4 header without options */
#define ETHER_TYPE 12
#define IP_VERSION 14
#define IP_PROTOCOL 23
#define IP_CHECKSUM 24
#define IP_SOURCE 26
#define IP_DESTINATION 30
#define UDP_DESTINATION 36
#define UDP_CHECKSUM 40
#define HEADERS 42

__attribute__((section("tc"), used)) int fan_out(struct __sk_buff *skb)
{
    unsigned char *frame = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    if (frame + HEADERS > end)
        return TC_ACT_OK;
    if (*(__u16 *)(frame + ETHER_TYPE) != BIG_ENDIAN_16(0x0800) || frame[IP_VERSION] != 0x45 ||
        frame[IP_PROTOCOL] != 17 || *(__u32 *)(frame + IP_DESTINATION) != BIG_ENDIAN_32(GROUP) ||
        *(__u16 *)(frame + UDP_DESTINATION) != BIG_ENDIAN_16(GROUP_PORT))
        return TC_ACT_OK;
    unsigned char addresses[12];
    __u64 receiver_mac = RECEIVER_MAC, source_mac = SOURCE_MAC;
    for (int i = 0; i < 6; i++) {
        addresses[i] = receiver_mac >> (40 - 8 * i);
        addresses[6 + i] = source_mac >> (40 - 8 * i);
    }
    __u32 old_source = *(__u32 *)(frame + IP_SOURCE), before = *(__u32 *)(frame + IP_DESTINATION);
    __u32 source = BIG_ENDIAN_32(SOURCE);
    __u16 no_checksum = 0, port = BIG_ENDIAN_16(PORT);
    skb_store_bytes(skb, 0, addresses, sizeof addresses, 0);
    l3_csum_replace(skb, IP_CHECKSUM, old_source, source, 4);
    skb_store_bytes(skb, IP_SOURCE, &source, 4, 0);
    skb_store_bytes(skb, UDP_DESTINATION, &port, 2, 0);
    skb_store_bytes(skb, UDP_CHECKSUM, &no_checksum, 2, 0);
    for (int i = 0; i < N; i++) {
        __u32 receiver = BIG_ENDIAN_32(FIRST_RECEIVER + i);
        l3_csum_replace(skb, IP_CHECKSUM, before, receiver, 4);
        skb_store_bytes(skb, IP_DESTINATION, &receiver, 4, 0);
        before = receiver;
        clone_redirect(skb, OUT_INTERFACE, 0);
    }
    return TC_ACT_SHOT;
}
char program_license[] __attribute__((section("license"), used)) = "GPL";

// A local gateway: a bump on the line between base stations (eth0) and core (eth1), with a way to the edge (eth2).
// What users ask of web servers leaves their tunnels and goes to the cache; its answers go back into them.

line :: GTPGateway(tcp dst port 80, ADDRESS $ETH2_IP, MAC $ETH2_MAC, VIA $CACHE);

FromDevice(eth0) -> [0] line [0] -> to_base :: Counter -> ToDevice(eth0);
FromDevice(eth1) -> [1] line [1] -> to_core :: Counter -> ToDevice(eth1);
FromDevice(eth2) -> [2] line [2] -> to_edge :: Counter -> ToDevice(eth2);

"""The canary pictures, as files, and as a task for whatever decodes.

They are constants: an encoder that differs between environments must not hide a decoder that does.
"""

from base64 import b85decode
from typing import Final

import pyarrow as pa

from dedup.decoding.contents import PAYLOAD


def canary_batch() -> pa.RecordBatch:
    """PAYLOAD with the canary pictures: whoever decodes it alike decodes other pictures alike."""
    files = [b85decode(text) for text in PICTURES.values()]
    n = len(files)
    return pa.record_batch([list(range(n)), pa.nulls(n, pa.binary()), files], schema=PAYLOAD)


PICTURES: Final = {
    "scaled JPEG": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV02B@n5)Ta&5)cv>6%-"
        "gAG9exu93DL^E+jHZKuk+VKt@GST61DhRc%&9Mr4R(ZFhTtf`Lw8jhBplmUDiAeE-`3Lje^R7akfOJ0T%Ed{ahKe0+"
        "R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0=}F01*fQ5CKpF0U`hb5di}c0sq7R9{>"
        "OW1pxs80RaI300000000010s{mE1_uZU3Jd?l0JRVR0s#X90t5pE1q1{D00Dgg0s{a95d{(<F+m0sQDFxnaTGFvk)a"
        "49Lb1UWQqk}vGh%Xr2?`b$7#SKRCMPH<Dl|1VH#j*uLqtVJM@UIZQ&d$}S6EqEV`OD!XJ~0^b98lfcX)YvgM@{Khlq"
        ")al9QB`mY0~BnxdnmrKYE-sj9NGw6(UkxVgH*!^FkL$H>Xb($mz{*4NnC+Tr5k<mKk)=;`Y5^7Hid_V@Vt`v1fL9{~"
        "UZ0RaI40RaI40RR91000010s{mE1_uZU3Jd?l0JRYS0s#U91Oo&I1q1{D0Rndb0RjUN1O*{61`<J02Vrp&A~Jyp6he"
        "`qvB3!=Gg9ysVsg<679=#`CGi&+85$-hC@Cs6Ha9pqIzvQ7Mn_0VN>fx-R##YAT4Q8oW@l(=YIAgTc6WGrdV+(5g@%"
        "WSiHeewl$Dm3n3<ZQqok##r>Lo_va__cwzs&sy28W6#m2|T$;#5x)YaD4*xB0R<K*S$=jiF`^7Hid_V@Vt`v2Mh3<C"
        "iG0ucid06ze$OG!&#LUmkGP888j6%rlCijitDQY~@RDKb^5R-#&!Ys{)@nKIMGMztWXGNEIIA*G}>&to|aH5*gSM%B"
        "C#!BmZ^CaD^tYVD?Zbw)KtY3)&(?SaPk7}XP0jZrmpM5vK9M%61+M!F(*Qy6Kq<4KCuGrj;SRH(qIP*QB@CyuR0Rim"
        "p>*F4!0Ek#!2s*%;G>xyO)ETu{+6g4O{&d41|Xw5X5xR((cqiS;+jg54`>43(j8gVqjYo#4A8fhprm1f8&q@tNdRV^"
        "hI(&TxZ!-XiO(}iZ_9K*#(wHT+Za@1w16D>-$3YwKodG$?HiI$`l5}J@2^Xf#tVfmyclQe|Z9HdG@6H&3JF{qf<(22"
        "!Sjbl+Ur!lCQ*JKgrR6|(P389TJn(K+k(2Qy}rxQ#yv{`Y8!%QNcX{1)lM`bidMJ6gtQMRj??t&TxNTPtW^;%A5<cK"
        "QFbpi^om4u{AMVRW!8mg6H4RXnuG+9$p169?kK-G&P#JQv<quoeeswKq=#+b&CwMNZdF=p`;nqf53)WX%#7H<*c({o"
        "KNNxHR6(J}d?%`<f->US#Uc4>1>qcuLz@jamY(t}LRI2xBR`$9l!MKuUDBAUihDO4v@QmLpE)T(QmYUYZeGMbPYg-t"
        "vf=9DgIsuE_JO(toi)_%-RV8)_mrDmvIt60-H=I$dkLd`?9M9p0hiOVH%S*kMB)@osD*&`l8LTNKm?xzDz_AW3Mj8c"
        "kt6rAjJ!Xq})gsDQ)f>b)EToDjTdaX(loD!wgHb`QvOrnr2I0}bS;L#$Qm0F<&lr=+@$Z;%(r*Epe>3qtPc?%`!rRu"
        "qonq;a&Q711<FHjjNhDzBokuiE{dW6YLFIuS<nLheW^#=M)^=f10EN`UWP;aE)Pn>+jR8d7?&V27Uw4#!fQO-Vb;-0"
        "3X6!AwfN@U7vMKubVkxdr4YN0Zkcr^$#@Mz>TQzXqXnv-=gnxC^PoJMMe+MMlBJ5?wJ?lsz=W~Vz;4Aoqs<+!ZW&D7"
        "FqxuKz`5`$7Hs1(%6SxK5G6D>-jqd`^>S2X5r7>-q`6)DKIGOcpTp}bKLN?nyc+BVjH)X@-aq{U1{M#8B~s|+TZT9v"
        "9MHL8&LN0+9VDkf@SdesLhF_M~Os0-6e)e_=PWTqJ^67<sa?n5RrQWvNT(r%~DLuA|N-%xI(-$yw&C*MZ;gMB9IJ)m"
        "<JaYia#lx(DY@fIm@Qf;GcF^vM8DR$E0trUe6@M)B}tx;%@8g}Z7bsMWxXo(9`S*eAog{sX`6^%gVoXt_OrfV3HIjE"
        "YYYK)2vlt_&wNLGNgEY(0o6*>xHtxStt^F?x!#wyHWp+Qy<R}|3pCqYvvsFJ2y<CIu)4#fmg(i+Q^l%__)qH39{Caq"
        "$bYGe;kwNApJVO<eMibO3@lTxs#h^>)a!wIGnPa>E_GFuu=G@5Y~(kfdajV6;cq*4)3*_%RUlQg)b#VeD_8KX2}lN4"
        "NBrvAz{RjrhpE2_tb%2wG)vaIZ+DNe)XD{Z7Arz=chO%$R;X{6KIqGMK>qKFozm!`8+WvbMTR0&JdOH@VaH&rPcMg)"
        "baq|<XtR-|tj2t_8^cog8ZS2`mCEtH`uV3gpL8gdaTRI0S_l=Vu^Q6^EaBGl+9inSt&!c@+AI}$BQ4MZux*F32l@|}"
        "ruK{U+KnvY^fwE}83rxQ&yDn%-!Y$_%dITXURY8EtAO6;{6TC!G{Qk{)eLa|z5TC`H5DN@Z8?p7;ID^^O=3f66!ElT"
        "BSq*Uc;g=;p=6fQ-IF;Z=$#Ve25k>ZS0n54x!kJ%kw%1xCvDG0Aql==Qr6138_F%-fna*vdOmZ5Q0SX2*6#VD2Dpn9"
        "F^yVSEq5*IZKH9gHj#;2IoAl*P}W@rY5BWR*vY3orfO0}wy(HN4bsTFCcDrFV2XG~%WwD6SW6(AL&FO*<PP_-ZwVye"
        "ayLqMgaqL(SbR5MGOZfP@8>7IP#Nt!cJ=9e`tnat)tG*fd*DjWe!TvB44Mk^;1Sj=HsX<C;Q5m~fv8I{V@8EU~4#ub"
        "#2)d>}uYBIH9g+{`$Xzr#!R+v_%VN4>jXJjHoMJ6gjDKS!Rpht=^PsJFb<@+<J%^@`w`a<>e9EZztk`qj0OfO6?OOS"
        "k{nA9$5S?VTg&BQE5^;zn6H4D}<L2|Q-g@svRQ8LynYGfFt0;JhMT9nNrF%(qEO$$;etzyooOpz*es1~JDTg9D_Wa?"
        "@_Y5>&W^|EHf*`qZc`ZrbF!f2B;nWk=|H2IG{tVJf1G?}9`bED0v0dq^5Z7nWjb2twMlp0_(;A$HeAn{8~2A4H07NS"
        "0bOwAdr+zsOpG{&VSm`!Bhc2h%IqiS;+VKt1PdKA#crW$cH(^)tj&_hi&oN2WV2TBr(T1uWnL~D7JhDxdC(s{M@9EZ"
        "#DmdupXB~>!he9BG%%33c?El_!syQ>*M&Pv0{rV&e;TvsgOb4pesD@`d@Hqo-VBy+m9D{P}>S@P)$Rzr<qzS>+=rD>"
        "#Ak!Ni>qeVD1Fw;v`@n@w@WWnio)qV7v>r~Fjve0^PdZ-?p9)}@GT(!EFbyp8h4Ou#eEa7r&(&nQEo(*Q|oO7f)mYY"
        "jLs$l4j%^9ZVjMmYe#q3AsjnvH2Zmr{~N|7e&P1PRiP1Ul6%@s02)WX!l)Y8<QBcc!-O)#25X{6Rpk=Fz%G{R^mkeb"
        "QTI^qVBib{`UY?x6=MK5GuFrH-|Wmext>iP~-z_DY@r1L7i>H|`76Gfo)BDGaksgTz^(a%t_rle6&p{dfisw2*-$rW"
        "kgC_z%Ft{J1xoXGZ5N>z=t)>^=r)GD&nOe)igfyGj1eHoRSp<`1$K=rIy>(P+H)ZO%qX_>7qdQfDc>FU*78j($BDH|"
        "3Qs#P^vO-!b_r6OEQ3TfcfN@_rBoz0m#WRz1yEjY-JW-e(7q$ZG>?WW20U`;fd38s@?l`(P(T9b7&nr>^hD14)fQf8"
        "Z)OxB#Gq&S*sG*VPJnxM@k6jn|KiG?K;RPq<h6j4PkLb-}rq|G-pX1lI<_Z^xuOwA~zaW+b(r$bfNr%J|b<*3UkR#K"
        "|RR%5OzhnrQFQm0yhDrK%Iqs^NiO<_-_n&)VUvKJLy#adxdIHZpHET<r<?keN0K<ieS>``S#6&V#}l9*DfnDuG0ASv"
        "o8cGH5?Hgus@rCMT&kws%Aa;!+TC^ZnLgITx*i8DrNxuwliX_Lw+G=_}QS7kWZhJ-ZJPNc<p6!bG=4JAJmV!I<FHpu"
        "ZwQeu-8eBsP96qNi@Vx`P#V`(Yaq{U|DS2&bX(NoMnXeAU;OPD>OnMD+}w>jqX1t_Ga0ZW{hA?s76LbWnhQjyO&780"
        "x>s>xOm*F2f$)GVQ?)YW7)I-2H@!!%2p4Kx~D)(sI9HL4~RDW(xn&iY8M%TTgardo}brsu0fsL4zzR?1UKQOtUD*;i"
        "#Q+Mi`6+NG)27DN`D1wU;jD@6;MpcJ6eQJU3KF2nOiX_=+XXsD9M=9ZcbD6JGMV<Bk8D5n8dv^k|AxTM=sVvJRD*yn"
        "R2+fBtyifI%&gmaM*NJU6RG>V5*UeJt+OjLwZNT_uK+6=`Qr(%p$`#|=CaY;_a7^Uq4+8J1-#V#pvU0laK!~&cJ08@"
        "aa%u8aZsg|QrQmsp7G9^l#Dg~*Qvuxy=Cqq*ys1~JDSu>hZCI*)@z-hqNOi_Tegi%Xa$nB>Qgi}h?l$fkrJsL=etu("
        "DlMIjY8JqQq$rj@CPrV(2}>WK*y(keqtHQP-a#9^e(DW)3igi)Zmr3RUrP-|{fOC$!KDj;d#)HHKUlv9N;8hAB?jyb"
        "WwQsR(Ps|O>JQWF%?DfEW3axrovBAP`=X{1y+3z&?GLMh}@5mU@AVmwibekjFHFmn;&j8pMODCQS2m5MP^ZKc~@nV`"
        "Taz*B<Kg`_J81xTWRDd1GH97iomwHk_*Yc|Z?JCZF*rlMMSHIrm}5>RQt)L_$rtlKIyN9LC_%+Z?0OzDLo*`k}8Ggz"
        "~-6vd=8nWQF>*BFRtjZP+*O=|{k6fvqcr?IHoyD7-o4K%|}G{aqxnPHkUNk(gKa%9JYPX?j}oDD;f%Qj36JT*WXo*J"
        "=}IBFAyrOiSboEouc<dH6D%|;rW4MT~O7K~9#Q_3q1#U?6DQtheb3lVLjZA-R|w7El+i)|ZfZM1EplsQa|v~8(2((S"
        "KA+QfTlK&RrD6qxKZ3UCylQ-G}5N+1P1QUOjCl$lDH;ZGF7P8E!qqM|$+T+=g4n#r?OM1E+^Gc>uZ+ck|L*`qYv(q^"
        "HXDr2)qO(tmxq-df9(@CJ3VKr%*Bq21yX-TFNTSi3)X@->3O>G*0B^jcUwN(g{9hw2A=8V<zoU>$sslloo((b2woO3"
        "1(P7P27rv|5EmPLTn@M^lXN~VrdEKDilqgs(@<QhYOr-h+KJPKTesErFtwxkP7wwECJNcPdTrQ1ukmmv8}Oi_w<D8+"
        "OLZYgn2#Tcn&Au&seDQh-s6ath{OIS$gj71c*lvWaFOkg^U(otBpY@jY^%_S8j@(Y?XNkt*@hG_|+kkA$aX@t_6X`n"
        "12rW$dk8g~H=Fw>1R)hQChq@s}4ibhfjOweg7c(a;f=8V&GMr)!cB*%kJ2BQX?4Q!Fj$&}QpY6UeiRoF#@sg|HhohY"
        "$s5~!(EQx>IBMU4^^3UCylQ-Gyn>?SD1I~2I3Vc5Z<iYPh4iYaPYXi8crtmJJFrKF{<c^yzeOG!&y@;e}ciYY55Y>>"
        "2Ol8TXwMI{sfQW{!AK_VJyry6ObA*PsV#+qpeX{MTSrkZJz#+pM)X{NM`GLVLl(wb?mh#a#DN+_<V9Fr7Ng)mdabVT"
        "Q5t5YRFwK`UaNU)V*D!NsKrf7+hrdo+ARiT=qK~5CWPZbQ%DQKms8UNV"
    ),
    "progressive grey JPEG": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6"
        "ModmpQ&KWMT47pHU`kO^PyfOI3kU#E06+l&5di<h02%-Q0|5a60RR9100000000031O);B0S5ot00;pA00001<o2ei"
        "lhjvajTU~@3pJfWDa^30nhNgN`PLs=b{xA4vFjr@rIe+cKpbXTDGWJ1%sGW~F6yZ{srd*0!~h`>00II700II700000"
        "00000009C65fUL2F$54IGC}{^00;pA009L8WWA!qRS|u;4fY3*C3KcYRkwC9V1vO@$@-Vind%%#AK#7Y`EtpT_KP9Q"
        "o+V6jZJ}kEBt%5#m25KMEeYF_ACT!hM~vL|u8R~Td}x}iG;mCeg<6r|LXM(kj|x_ILl`4w2-%X!io(k|C-pJD)XPkb"
        "{eS<&02UAc0{{R300000000000000XKv4hM00;pA00ut-q#pmo02~ki0|5a600RI300000000000TCe(F+ovb|Jncu"
        "0RaF3KOubK<g*z?h)kvh0@O16_>2%?>$s$lTN*w%!WHm5(HsnHVdP441cr(nHdPx02I&;yR#`k0zXTP0js*gOGVmo0"
        "pw3>vzM&@h!IvF4WFSSA6=cpNG8+$OV`u-`00;pA0000G*{}*5qV9qOmsbD802>ei0RaI40RaI3000000000101+WE"
        "K~WI@+5iXv0RRC%5DiWZs+_VpDQOG~Mc?ig-z>3%rdXqH9?g=Qfddg7v}}+W(VwtUD0G6OY$gR3)W};->|#_8lc4>G"
        "6c`RlQ*9Nnt_j#a&gA<J=OcJChuxW|&~Wlaj176YCE=Oa&at%ec`Wi%ISG+5iO@mlFEGeQP$RvWI~hEQ9u0@u0QUQr"
        "A7)o%tB}o~(sXuRc2K(`>e;{l*#"
    ),
    "CMYK JPEG": (
        "|JeWT01iQ9Z(?NtWB>pF0095n07C!}3k(hn3J?wr4iXU%6BsBO7#0>7F(V}%C^|DeJUKHsH$X^SPC!IgMK?H5ZBbWW"
        "VrOV)K233XaAbH~WoKjmzyK5o03ZM;1Va%3O%VWD5dcdO0RO}Q9{>OW1pxs80RaI300000000010s{mE1_uZU3Jd?l"
        "0JRVR0s#X90t5pE1q1{D00Dgg0s{a95d{(<F+m0sQDFxnaTGFvk)a49Lb1UWQqk}vGh%Xr2?`b$7#SKRCMPH<Dl|1V"
        "H#j*uLqtVJM@UIZQ&d$}S6EqEV`OD!XJ~0^b98lfcX)YvgM@{Khlq)al9QB`mY0~BnxdnmrKYE-sj9NGw6(UkxVgH*"
        "!^FkL$H>Xb($mz{*4NnC+Tr5k<mKk)=;`Y5^7Hid_V@Vt`v2Mh4g^C0O#oQ{O8@{r04=6fa7nGG@1xv4VOSPy1cJQ+"
        "x~mOF6@Ug|#cIQS8H*c*cX}1VtYas&70CF;@h9E1=D4pF+CAGbjApN2U7<tG70T%{2<OQ?>nB06me%Kdi;ioN)<1j>"
        "-e|7c(^G|G0I;t{v((^7Rau7uxl4^cQsjj+Ryj#WOxK>J%)s?Es|A#yhX#scwdfxv>d>{nln@IV=xiXkMBo}LGVv~7"
        "K4xp8)8w|9N1R9FQEC?w#ht{8DvH}ppO75XI?CF|88Bl$)mqL`aQJR$se~8!;5Bh~cXw+c*iI{IEiNZeN{TDFjwttX"
        "1#~Z^vW)GilG+s@kSMJ<A+*`^0aPv%$v%~%6~&w};fSKKHJI&zJ26z+_GCDWn&kXRbqs~PqA04mRlG7vHv!hIS-r*4"
        "!;)(kO1bjp%N{dDb@tj-qaezP*o#LJE=pHpYpTEy0>X;sT0%S5S9NNhQ6N+|GP0o{(N(3rkp~T2CcL{OAXg=;YO_Y="
        "RgD#sd3Nr3HJfOG+nUab?n&DYb46RxrEf5ET~3i|nH*BhA&6vgMRr!Rw!zJH5Zj<Z#aH`$<D(iY|Je"
    ),
    "small JPEG": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV00;&K2L=TQ2L}fU2?z=d6b%du3k(?&6Au&}8Xq1V8XO!TBrYc)A}k{u94I#_"
        "EHE)NG&CP4IXyTsJT5adGXL8ELjeg12@DGi7!3^=G9erxGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqU"
        "GBPqUGBPqUGBPqUGBW?b01*fPAOIi(0U`hb5di}c0sq7R9{>OW1pxs80RaI300000000010s{mE1_uZU3Jd?l0JRVR"
        "0s#X90t5pE1q1{D00Dgg0s{a95d{(<F+m0sQDFxnaTGFvk)a49Lb1UWQqk}vGh%Xr2?`b$7#SKRCMPH<Dl|1VH#j*u"
        "LqtVJM@UIZQ&d$}S6EqEV`OD!XJ~0^b98lfcX)YvgM@{Khlq)al9QB`mY0~BnxdnmrKYE-sj9NGw6(UkxVgH*!^FkL"
        "$H>Xb($mz{*4NnC+Tr5k<mKk)=;`Y5^7Hid_V@Vt`v1fL9{~UZ0RaI40RaI40RR91000010s{mE1_uZU3Jd?l0JRYS"
        "0s#U91Oo&I1q1{D0Rndb0RjUN1O*{61`<J02Vrp&A~Jyp6he`qvB3!=Gg9ysVsg<679=#`CGi&+85$-hC@Cs6Ha9pq"
        "IzvQ7Mn_0VN>fx-R##YAT4Q8oW@l(=YIAgTc6WGrdV+(5g@%WSiHeewl$Dm3n3<ZQqok##r>Lo_va__cwzs&sy28W6"
        "#m2|T$;#5x)YaD4*xB0R<K*S$=jiF`^7Hid_V@Vt`v2Mh3<CiG0ucid06zfaZu~tus5m@VbKuLh)2)Or)~36*X%h;$"
        "txXR^h4#GPD_5Aky(P~@tDQA*lxoxVIF$XL>Tkt%sD?wpBD}N4z7x3Dui9uvK{elazCosGfWUbJwR!Egi>}c~BBGoz"
        "-rJs&MmQR9o+s**ovGUTo%|*^n=%29dWP>%SX+E;g&vik<9nvktPGKy8sW6vdVA;yke+MY!ekX`)cWgsJr0W4TDZ(o"
        "!qc}V=UuAnsj9?n^O7rs)F+P0Ql)D8pC(^09!ai`PVl|Hw-A<5l4!<ZFqleTR;1rM)Y`rS4@(f6x>i5`*#"
    ),
    "JPEG turned by XMP": (
        "|JeWG03t<rX=VTbNl7XI2mk;80RRsH0ssO4002P%000000095t0Cs3}bZ|N^FK%-#VPtP&WiDfHZ7+CXa4#_~FfRZ+"
        "csh7(aBXFDVIX*IY;JQpcs(LvWN%_+I&O11ZDn*}FCsoXa%5&YL}hbha%pgMX>V>IbZKU0I!|(GWo~p~bZKvHJt8(D"
        "FFrgkcsh7(aBXFDVLt!h01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8B"
        "I!Zn>HbyrrEkIX6ModmpQ&KWMT47pHU`kO^PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%z"
        "Pft%zPft%zPft%zPft%zPft%zPft%zPf!2A01*fPC;%7(0U`hb5di}c0sq7R7ytkR0RaF20000000000000051_T2C"
        "!~h=<009I70|5a500000000000RRF65d;Mi6G1T{|HJ?n0RRI500000000000000000adF1OLPTAQ1op0s;a80{{R3"
        "000000003300RUO1ri1oA|pZn+5ij#0RRFK0}%i}0M)RWuZ6%B89XjIWP$2w7Hg+}5`Lyk)^<nPNv9W2u0{|0Fs~Tm"
        "xF#*eZAJk?*!T=)sR>Qa8OfEEa)=ZOlUs;;+hf&zg@V(FEO@4(hoRhv_?u(zV~wIa2)<7!<PWAs(AVC6bE)-!y#66*"
        "ZpD%du!S(qe&aEVW}>Z=ctGM5M43_y(@r!B5Sw`U?ycGrQh>u!j|z7fL9`(Vn-O~%LZ~z+|Je"
    ),
    "PNG with alpha": (
        "iBL{Q4GJ0x0000DNk~Le0000O0000K2nGNE0GGA>g8%>lMoC0LRCwBrRok`0FbLD_VGxbtQ8P+L(J1}6egMX4^5L|`"
        "NFc!ZyRHiWpuVcFn*WB8XaX9D27=Bc0Jow~H{*lwFumQ$9}f@v_R>EBs6Idd5Fu!ux2GT}PAe0MPEivemY>}*svF(N"
        "6g&0rIJAdcU=EZ(lk+nv#<i;8h=lpBB%;rVF|$yEb#Q_6js6py>kwTHDqY!$802#J+QTQ{7f%oi$tpZ?jKeXDYTHN^"
        "eH?|;W>U)Q++Nm-it$NqB_#Kn00Ktu82LO^As3~Vk!FS(L&nH&K>+58q~MuIup%A57267SyhJ?l@Kl|t2xv&bSU1x{"
        "3rudQym(X)fw3uUbVUxH6|uIt?V#t&*c8Frx@)uwn_ITfdK(}*iMBF$aB06sgWf(1ZeX8M1vgM}_wCms5&Rk|>gAWH"
        "=*TaPWRi$3FGExS0000<MNUMnLSTX"
    ),
    "flat icon PNG": (
        "iBL{Q4GJ0x0000DNk~Le0000W0000W2mk;809FwtC;$KeW=TXrRCwBBe9wR%FfmZ7fCa0lBAj)f@jV_{>{cieaDyTt"
        "N8Tss3p5ps?@9LswL_8)3Lud+m4ShQfgu~40><|+X&g$JkmZq?2n8sDQwJs-P+Xpk&4g@x^3e1^AfSeRdH?`BLJ{cy"
        "TS|cd0000<MNUMnLSTX"
    ),
    "lossy WebP": (
        "Qb|Te$N>NVS4BclR!}$~ya50J&=3Hf0V+rUJODn$Qk+evr6Qs{+-v~w7>R5Eu_eILeqsJg&C0g^gL)k2vj61yB?&uT"
        "uM7_al#<*hx8_k+D-B)~>&rSsC6NE>krh@&da1r-Lz7X3=ZS4~<{FuI|LHV;7$IJmr+gn)Vz$(5>kOS@XsHuOZC+SI"
        "gN|p6UlLTDCnW(EI@#{0LpFc_{t?)TYObHwCrzN1dHaXrg}y3MTwlS`bep_MCQ<|{H<g>*zvRMF&awp|ofV>ujZuAZ"
        "-DYcgyla$s3}6VBiTrU(!T{#-(K&-$i`1Zt9z_1)Gc+hp6&m|ih5Ns^hdZrh{Df8I5qEg!Qbovr1-D&K(kFa<!HgE1"
        "nXG{K(yW6+csMaE^Wf}}ojerYmBX(oG@c}1?nxDrzXT?R5UdHKH*z9;-qsSl37YPBk76fml!T4IRJ%SZXlU6~92ubZ"
        "Io7jJf8nB%#@ugbBHx<iVf`RRA%?dH03Ekf>-6|vWmZ;w!B4{ny}g1Bi=#7D^7s8fil5W0vn(mUXR)T{6b=p2zkLCI"
        "UAf0k?8aWL^aS9?Yz8#3^}3h202V=suR$0sq>umr"
    ),
    "GIF": (
        "M@dFFH(?wA7yyF+0KN3AuE2DP%703~ceayuZJVi0ke3&kc;jO<gKc#^ctcxVJi0(V-"
        "y14qOEPCTIxGMH000~S7yv*B{{RmN9C$#1f&~r|Dty530RsjIB1&vPvEsuA2^VNgFhGDuj{!o83{aq?$pQva8c4vB0"
        "D+JIVxBaqGNnO{3KeQZm=L1Gh%Q~S9LjL0$Cxoa&MaWCslfvSq7GR3up-a^NMjNlcr&M02M>QneE9HdMvYBd5)g}^B"
        "1N(d7qI+Dx31Eq1%|RLfHf-syfp)>9J&^$OTPe|Hias6KmrDC8z6Y;cdNjzUK={}`O`9HvpqRW9J&){&eEmXwrxQ6;"
        "^_qnqJA9tGcs!i3>|FjXm@1D)~y>FJqp0?$EAAp3P6mv`AWSovjP?zSZz?3coi!U*m!7F!+nuz65rmKYUIh`V~%Gm_"
        "3?SiSpxz9I{"
    ),
}
"""Base 85 of encoded pictures, made with smooth random colours; in the icon rounding decides the
bits of whash.
"""

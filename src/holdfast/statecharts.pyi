from statecharts import *
